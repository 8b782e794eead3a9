"""What a trained run can do: test, export, archive, predict, explain, finish, verify, report and upload."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import lightning.pytorch as pl
from lightning.pytorch.loggers import Logger
from rich.console import Console

from cuelight.callbacks.added.progress import ProgressDisplay
from cuelight.callbacks.base.train_end_step import TrainEndStep
from cuelight.callbacks.test_on_train_end import TestOnTrainEnd
from cuelight.callbacks.upload_checkpoint import UploadCheckpoint
from cuelight.config import Config
from cuelight.errors import CheckpointError, ConfigError, DataError, UploadError
from cuelight.evaluation.evaluator import Split
from cuelight.explain import Method
from cuelight.prediction.explaining import ImageExplanation, explain
from cuelight.prediction.pytorch_model import PyTorchModel
from cuelight.report import write_report
from cuelight.runs.build import model_class
from cuelight.runs.finish import finish
from cuelight.runs.measurements import write_measurement
from cuelight.runs.plan import PlannedCallback, plan_callbacks
from cuelight.runs.reopen import kept_checkpoints, reopen
from cuelight.runs.result import Result
from cuelight.runs.settled import settle, state_of
from cuelight.tracking.loggers.build import leave_trackers, reopen_loggers
from cuelight.tracking.loggers.requirements import tracker_problems, usable_trackers
from cuelight.tracking.outbox.uploads import how_to_send, is_sending, spooled_trainings
from cuelight.train_end.finished_training import FinishedTraining, StepSkipped
from cuelight.train_end.on_demand import write_now
from cuelight.train_end.outcomes import Outcome
from cuelight.train_end.running import StepResult, record_result
from cuelight.train_end.testing import measure
from cuelight.train_end.verifying import Check, verify
from cuelight.utils.journal import lacking
from cuelight.utils.run_directory import (
    CHECKPOINT_FOLDER,
    clean_up,
    is_complete,
    is_first_process,
    require_nobody_trains,
    training_alone,
)
from cuelight.weights.best import BestCheckpoint, Preference, best_checkpoint, main_metric, not_preferred
from cuelight.weights.reading import load_checkpoint
from cuelight.weights.resuming import latest_checkpoint, logging_step_in, step_of

logger = logging.getLogger(__name__)


class TrainedRun:
    """A configuration with the checkpoints that were trained by it.

    Args:
        config: A checked configuration, as ``load_config`` returns it.
        directory: The run directory; ``None`` for a run that has none.
        display: A callback that shows the progress; ``None`` for none.

    Attributes:
        checkpoint: The checkpoint that is used unless another is named; ``None`` for the best one of the run.
    """

    def __init__(self, config: Config, directory: Path | None = None, display: pl.Callback | None = None) -> None:
        self.config = config
        self.directory = directory
        self.checkpoint: Path | None = None
        self.display = display
        self._planned: list[PlannedCallback] | None = None

    def test(self, checkpoint: str | Path | None = None, view: Split = "test") -> Result:
        """Evaluate a checkpoint.

        Args:
            checkpoint: The file; if left out, the one given to ``Run.load``, or the best one of the run.
            view: The split of the data: ``test``, ``val`` or ``train``.

        Returns:
            The metrics, also written to ``test/results.json`` if this run has a directory.

        Raises:
            CheckpointError: If there is no checkpoint, or it cannot be read.
            DataError: If the data cannot be read, or has no such split.
        """
        began = time.monotonic()
        measured = self._chosen(checkpoint, "test")
        training = self._finished(Path())
        try:
            found = measure(training, training.load(measured), view, [self.display] if self.display else [])
        except StepSkipped as reason:
            raise DataError(f"{self.config.data.name}: {reason}") from reason
        if self.directory is not None:
            steps = [one.callback for one in self._callbacks() if isinstance(one.callback, TestOnTrainEnd)]
            prefer: Preference = next((step.preferred_checkpoint for step in steps if step.view == view), "metric")
            best = self.best(prefer)
            is_best = best is not None and best.path.resolve() == measured.resolve()
            if files := write_measurement(self.directory, self.config, found, is_best=is_best):
                result = StepResult(measured, found.fingerprint, files, {"metrics": found.metrics})
                record_result(TestOnTrainEnd(view=view).step_name, self.directory, result, began)
        return Result(self.directory, measured, found.metrics, self._best_or_none(), data=found.data)

    def export(
        self, checkpoint: str | Path | None = None, output: str | Path | None = None, prefer: Preference = "metric"
    ) -> Path:
        """Export a checkpoint as ONNX and compare its outputs with PyTorch; return the ONNX file.

        Args:
            checkpoint: The file; if left out, the one given to ``Run.load``, or the best one of the run.
            output: The file to write. By default ``export/<name>.onnx`` in the run directory, or in the working
                directory if there is none.
            prefer: Which best one: by the main metric, or by the validation loss.

        Raises:
            CheckpointError: If there is no checkpoint, or it cannot be read.
            ExportError: If it cannot be exported, or its outputs differ.
        """
        chosen = self._chosen(checkpoint, "export", prefer)
        return write_now("export", self._finished(Path()), chosen, output, self._console(), self.directory is not None)

    def archive(
        self, checkpoint: str | Path | None = None, output: str | Path | None = None, prefer: Preference = "metric"
    ) -> Path:
        """Write a checkpoint as NN Archive; return the file.

        Args:
            checkpoint: The file; if left out, the one given to ``Run.load``, or the best one of the run.
            output: The file to write. By default ``archive/<name>.tar`` in the run directory, or in the working
                directory if there is none.
            prefer: Which best one: by the main metric, or by the validation loss.

        Raises:
            CheckpointError: If there is no checkpoint, or it cannot be read.
            ExportError: If it cannot be exported, or its outputs differ.
            ArchiveError: If luxonis-ml is missing, or the archive cannot be written.
        """
        chosen = self._chosen(checkpoint, "archive", prefer)
        return write_now("archive", self._finished(Path()), chosen, output, self._console(), self.directory is not None)

    def network(self, checkpoint: str | Path | None = None, prefer: Preference = "metric") -> PyTorchModel:
        """Open a checkpoint on the CPU, for ``cuelight.prediction.predict``.

        Args:
            checkpoint: The file; if left out, the one given to ``Run.load``, or the best one of the run.
            prefer: Which best one: by the main metric, or by the validation loss.

        Raises:
            CheckpointError: If there is no checkpoint, or it cannot be read.
        """
        training = self._finished(Path())
        weights = training.load(self._chosen(checkpoint, "predict with", prefer))
        return PyTorchModel(weights.module, training.describe(weights))

    def explain(
        self,
        images: Sequence[str | Path],
        checkpoint: str | Path | None = None,
        *,
        layer: int | str = "auto",
        class_idx: int | str = "predicted",
        method: Method = "gradcam",
        output: int | str | None = None,
        batch_size: int = 16,
        prefer: Preference = "metric",
    ) -> Iterator[ImageExplanation]:
        """Compute where a checkpoint looks in images; ``write_explanations`` draws it.

        Args:
            images: The image files.
            checkpoint: The file; if left out, the one given to ``Run.load``, or the best one of the run.
            layer: The layer to explain: its index in :meth:`layers`, its name, or ``auto`` for the last one with a
                spatial map.
            class_idx: The class to explain: its index, its name, or ``predicted``.
            method: How activations and gradients become a map.
            output: The output with the class scores, by name or index, if there are several.
            batch_size: Images that are computed together.
            prefer: Which best one: by the main metric, or by the validation loss.

        Returns:
            An explanation of each image that can be read; the others are named in the log.

        Raises:
            CheckpointError: If there is no checkpoint, or it cannot be read.
            ExplainError: If there is no such layer, class or output.
            DataError: If none of the images can be read.
        """
        training = self._finished(Path())
        weights = training.load(self._chosen(checkpoint, "explain", prefer))
        return explain(
            weights.module,
            training.describe(weights),
            [Path(image) for image in images],
            layer=layer,
            class_idx=class_idx,
            method=method,
            output=output,
            batch_size=batch_size,
        )

    def finish(self) -> Result:
        """Run the steps after the training that are missing, have failed, or used other weights.

        Returns:
            The outcome of each step.

        Raises:
            CheckpointError: If this run has no checkpoint, or another process trains or finishes it.
        """
        folder = self._checkpoint_folder()
        last = latest_checkpoint(folder)
        if last is None:
            raise CheckpointError(f"{self.directory} has no checkpoint: train it first.")
        if not is_first_process():  # of a script that torchrun started in several
            return Result(self.directory)
        with training_alone(folder.parent):
            clean_up(folder.parent)
            state = state_of(folder.parent)
            training = self._finished(folder.parent, logging_step_in(load_checkpoint(last, mmap=True)))
            steps = [entry.callback for entry in self._callbacks() if isinstance(entry.callback, TrainEndStep)]
            outcomes = finish(steps, training, self._console())
            for one in training.loggers:
                one.finalize("success")
            if all(outcome.status == "ok" for outcome in outcomes):
                settle(training.directory, self.config, state)
        return self._result(outcomes)

    def verify(self) -> list[Check]:
        """Check whether the shipped weights are the measured ones.

        Returns:
            One entry for each file and each weight that was compared.

        Raises:
            CheckpointError: If this run has no directory.
        """
        return verify(self._checkpoint_folder().parent)

    def report(self, output: str | Path | None = None) -> Path:
        """Write this run as one HTML page that needs no other file and no network.

        Args:
            output: The file to write; ``report.html`` in the run directory if left out.

        Returns:
            The page. It names what is missing or damaged in the run.

        Raises:
            CheckpointError: If this run has no directory.
            CuelightError: If the page cannot be written.
        """
        return write_report(self._checkpoint_folder().parent, output)

    def upload(self) -> Outcome:
        """Send the trackers what they lack: points, images and files of the training, and the best checkpoint.

        The ``UploadCheckpoint`` of the configuration sends it, or one with the default parameters.

        Returns:
            The outcome, also recorded in ``outcomes.json``.

        Raises:
            CheckpointError: If this run has no directory, or nothing to send.
            ConfigError: If this machine lacks what a tracker needs.
            UploadError: If another process is sending it now, such as the training itself, or something was not sent.
        """
        folder = self._checkpoint_folder()
        if problems := list(tracker_problems(self.config.tracker)):
            raise ConfigError(problems)
        if is_sending(folder.parent):
            raise UploadError(
                f"{folder.parent}: the checkpoints of this run are being sent by another process, such as the training "
                "itself. Wait until it has ended."
            )
        require_nobody_trains(folder.parent)
        last = latest_checkpoint(folder)
        if last is None and not spooled_trainings(folder.parent) and not lacking(folder.parent):
            raise CheckpointError(f"{self.directory} has no checkpoint to upload: train it first.")
        callbacks = [entry.callback for entry in self._callbacks()]
        step = next((callback for callback in callbacks if isinstance(callback, UploadCheckpoint)), UploadCheckpoint())
        training = self._finished(folder.parent, step_of(last) if last else 0)
        outcome = step.run(training, self._console())
        left = leave_trackers(training.loggers, complete=is_complete(training.directory))
        if outcome.status != "failed" and (missing := lacking(training.directory, only_waiting=True)):
            of_another = [f"{receiver} lacks {what}." for receiver, what in missing.items()]  # which was not opened
            raise UploadError(" ".join(left or [*of_another, how_to_send(training.directory)]))
        for what in left:
            logger.warning(what)
        return outcome

    def best(self, prefer: Preference = "metric") -> BestCheckpoint | None:
        """Return the best checkpoint, or ``None`` if none was kept.

        Args:
            prefer: By the main metric, or by the validation loss; the other one if no checkpoint was kept by this one.

        Raises:
            CheckpointError: If this run has no directory yet.
        """
        metric = main_metric(model_class(self.config))
        return best_checkpoint(kept_checkpoints(self._checkpoint_folder()), prefer, metric)

    def has_checkpoints(self) -> bool:
        """Return whether this run has any checkpoint."""
        return self.directory is not None and any((self.directory / CHECKPOINT_FOLDER).rglob("*.ckpt"))

    def _callbacks(self) -> list[PlannedCallback]:
        """Return the callbacks of the next training, built once, without the progress display."""
        if self._planned is None:
            self._planned, problems = plan_callbacks(self.config)
            if problems:
                raise ConfigError(self.config.locate(problems))
        return self._planned

    def _checkpoint_folder(self) -> Path:
        if self.directory is None:
            raise CheckpointError(
                "This run has no directory: train it first. A checkpoint that was copied out of its run directory can "
                "be tested, exported and archived; to resume, finish, verify or report, give the run directory."
            )
        return self.directory / CHECKPOINT_FOLDER

    def _result(self, outcomes: Sequence[Outcome]) -> Result:
        best = self._best_or_none()
        tested = next((outcome for outcome in outcomes if outcome.is_measurement), None)
        if tested is None or self.directory is None:
            return Result(self.directory, best=best, outcomes=tuple(outcomes))
        checkpoint = self.directory / tested.checkpoint
        metrics = {name: math.nan if value is None else value for name, value in tested.details["metrics"].items()}
        return Result(self.directory, checkpoint, metrics, best, tuple(outcomes))

    def _finished(self, directory: Path, step: int | None = None) -> FinishedTraining:
        """Return what the steps after the training work with; with trackers if ``step`` is given."""
        checkpoints = self.directory / CHECKPOINT_FOLDER if self.directory else None
        loggers: list[Logger] = []
        if step is not None:
            tracker = usable_trackers(self.config.tracker)
            loggers = reopen_loggers(self.config.model_copy(update={"tracker": tracker}), directory)
        return reopen(self.config, self.directory or directory, checkpoints, loggers, step or 0)

    def _chosen(self, checkpoint: str | Path | None, verb: str, prefer: Preference = "metric") -> Path:
        if named := checkpoint or self.checkpoint:
            return Path(named)
        best = self.best(prefer) if self.directory else None
        if best is None:
            reason = self._finished(Path()).why_none() if self.directory else None
            raise CheckpointError(
                f"{self.directory or 'This run'} has no checkpoint to {verb}: {reason or 'train it first'}."
            )
        if warning := not_preferred(best, prefer):
            logger.warning(warning)
        return best.path

    def _best_or_none(self) -> BestCheckpoint | None:
        return self.best() if self.directory else None

    def _console(self) -> Console | None:
        return self.display.console if isinstance(self.display, ProgressDisplay) else None
