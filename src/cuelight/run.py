"""A configuration made runnable: plan it, train it, resume it, test it."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from rich.console import Console

from cuelight import registry
from cuelight.building import build_data, build_model
from cuelight.callbacks.last_checkpoint import LastCheckpoint
from cuelight.callbacks.progress import ProgressDisplay
from cuelight.callbacks.train_end_step import TrainEndStep, train_end_steps
from cuelight.config import Config, load_config
from cuelight.config.schema import ExporterConfig
from cuelight.data.description import DATA_DESCRIPTION, describe_data
from cuelight.deploy.protocols import NamesOutputs
from cuelight.ending import why_it_ended
from cuelight.errors import CheckpointError, CuelightError, DataError, TrainingInterrupted
from cuelight.evaluation.evaluate import View
from cuelight.evaluation.results import write_results
from cuelight.files import remove_partial_files, write_text
from cuelight.finished_run import finished_run, kept_checkpoints
from cuelight.plan import PlannedCallback, check_together, main_metric, place_model_callbacks, planned_callbacks
from cuelight.prediction.pytorch_model import PyTorchModel
from cuelight.rules import cautions
from cuelight.run_directory import (
    CHECKPOINT_FOLDER,
    CONFIG_FILE,
    find_run_directory,
    is_first_process,
    make_run_directory,
)
from cuelight.tracking.loggers import build_loggers
from cuelight.train_end.display import showing
from cuelight.train_end.exporting import archive, archive_path, export, onnx_path
from cuelight.train_end.finished_training import FinishedTraining, StepSkipped
from cuelight.train_end.outcomes import Outcome, read_outcomes
from cuelight.train_end.testing import measure
from cuelight.train_end.verifying import Check, verify
from cuelight.trainer import build_trainer, take_model_callbacks
from cuelight.weights.best import BestCheckpoint, Preference, best_checkpoint
from cuelight.weights.checkpoint_io import AtomicCheckpointIO, load_checkpoint
from cuelight.weights.resuming import latest_checkpoint, step_of

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Result:
    """What a training or a test came to.

    Args:
        directory: The run directory, if there is one.
        checkpoint: The checkpoint that was measured; ``None`` if there was nothing to measure.
        metrics: The metrics by name; empty if there was nothing to measure.
        best: The best checkpoint of the run, if one was kept.
        outcomes: What became of the steps after the training.
    """

    directory: Path | None
    checkpoint: Path | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    best: BestCheckpoint | None = None
    outcomes: tuple[Outcome, ...] = ()

    @property
    def failed(self) -> bool:
        """Whether a step after the training failed."""
        return any(outcome.status == "failed" for outcome in self.outcomes)


class Run:
    """One configuration, and the run directory that belongs to it once it was trained.

    Args:
        config: A checked configuration, as ``load_config`` gives it.
        directory: The run directory; ``None`` for a run that does not exist yet.
        display: A callback that shows the progress, if any shall.

    Examples:
        >>> run = Run.from_yaml("examples/digits.yaml", ["trainer.epochs=1"])  # doctest: +SKIP
        >>> run.train().metrics["test/accuracy"]  # doctest: +SKIP
        0.95
    """

    def __init__(self, config: Config, directory: Path | None = None, display: pl.Callback | None = None) -> None:
        self.config = config
        self.directory = directory
        self.display = display

    @classmethod
    def from_yaml(
        cls, source: str | Path | Mapping[str, Any], overrides: Sequence[str] | Mapping[str, Any] = ()
    ) -> Run:
        """Read and check a configuration.

        Args:
            source: The path of a YAML file, or the same as a mapping.
            overrides: ``a.b.0.c=value`` texts, or a mapping from dot paths to values.

        Returns:
            A run that can be planned and trained.

        Raises:
            ConfigError: With everything that is wrong with the file.
        """
        return cls(load_config(source, overrides, registry.check_part, check_together))

    @classmethod
    def load(cls, path: str | Path, overrides: Sequence[str] | Mapping[str, Any] = ()) -> Run:
        """Open a run that was trained before.

        Args:
            path: A run directory, or a checkpoint; one outside of any run directory describes itself.
            overrides: What to change in its configuration.

        Returns:
            The run.

        Raises:
            CheckpointError: If there is no run at that path.
            ConfigError: If its configuration cannot be used, such as for a model of one's own that is not known.
        """
        directory = find_run_directory(Path(path))
        described: Path | dict[str, Any] = directory / CONFIG_FILE if directory else _own_config(path)
        return cls(load_config(described, overrides, registry.check_part, check_together), directory)

    def plan(self) -> list[PlannedCallback]:
        """List every callback that a training will run, in order, without reading data.

        What may not be meant so is logged as a warning.

        Returns:
            The callbacks and where each comes from.
        """
        planned = planned_callbacks(self.config, self.display)
        if is_first_process():
            for caution in cautions([entry.callback for entry in planned]):
                logger.warning(caution)
        return planned

    def train(self, output: str | Path = "runs") -> Result:
        """Train, keep the best and the last checkpoint, and run the steps after the training.

        Args:
            output: The folder of all runs; not used if this run has its directory already.

        Returns:
            The run directory, the best checkpoint and its test results.

        Raises:
            TrainingInterrupted: On a signal, after ``last.ckpt`` was saved.
            CheckpointError: If a checkpoint cannot be written, or this run holds a training already.
        """
        if is_first_process() and self.has_checkpoints():
            raise CheckpointError(
                f"{self.directory} holds a training already. Use resume() to go on with it, or a new Run to train anew."
            )
        return self._train(Path(output), None)

    def resume(self, checkpoint: str | Path | None = None) -> Result:
        """Go on with a training in its own run directory.

        Args:
            checkpoint: Where to go on from; ``last.ckpt`` if left out. If there is none yet, because the training
                ended before its first one, the training starts from its beginning.

        Returns:
            As ``train``.

        Raises:
            CheckpointError: If this run has no directory yet, or the checkpoint cannot be read.
        """
        chosen = Path(checkpoint) if checkpoint else latest_checkpoint(self._checkpoint_folder())
        return self._train(self._checkpoint_folder().parent, chosen)

    def test(self, checkpoint: str | Path | None = None, view: View = "test") -> Result:
        """Measure a checkpoint of this run.

        Args:
            checkpoint: The file; the best one of the run if left out.
            view: The split of the data: ``test``, ``val`` or ``train``.

        Returns:
            The metrics, also written to ``test/results.json`` if this run has a directory.

        Raises:
            CheckpointError: If there is no checkpoint, or it cannot be read.
            DataError: If the data cannot be read, or has no such split.
        """
        measured = self._chosen(checkpoint, "test")
        training = self._finished(Path())
        try:
            found = measure(training, measured, view, [self.display] if self.display else [])
        except StepSkipped as reason:
            raise DataError(f"{self.config.data.name}: {reason}") from reason
        if self.directory is not None:
            write_results(self.directory, found)
        return Result(self.directory, measured, found.metrics, self._best_or_none())

    def export(
        self, checkpoint: str | Path | None = None, output: str | Path | None = None, prefer: Preference = "metric"
    ) -> Path:
        """Export a checkpoint of this run as ONNX, checked against PyTorch.

        Args:
            checkpoint: The file; the best one of the run if left out.
            output: The file to write; ``export/<name>.onnx`` in the run directory if left out, or in the working
                directory where there is none.
            prefer: Which best one: by the main metric, or by the validation loss.

        Returns:
            The ONNX file.

        Raises:
            CheckpointError: If there is no checkpoint, or it cannot be read.
            ExportError: If it cannot be exported, or does something else afterwards.
        """
        chosen = self._chosen(checkpoint, "export", prefer)
        training = self._finished(Path())
        path = Path(output) if output else onnx_path(training)
        with showing("export", self._console()) as report:
            return export(training, chosen, path, report).path

    def archive(
        self, checkpoint: str | Path | None = None, output: str | Path | None = None, prefer: Preference = "metric"
    ) -> Path:
        """Write a checkpoint of this run as NN Archive.

        Args:
            checkpoint: The file; the best one of the run if left out.
            output: The file to write; ``archive/<name>.tar`` in the run directory if left out, or in the working
                directory where there is none.
            prefer: Which best one: by the main metric, or by the validation loss.

        Returns:
            The archive.

        Raises:
            CheckpointError: If there is no checkpoint, or it cannot be read.
            ExportError: If it cannot be exported, or does something else afterwards.
            ArchiveError: If luxonis-ml is missing, or the archive cannot be written.
        """
        chosen = self._chosen(checkpoint, "archive", prefer)
        training = self._finished(Path())
        path = Path(output) if output else archive_path(training)
        before = read_outcomes(training.directory).get("ExportOnTrainEnd")
        with showing("archive", self._console()) as report:
            return archive(training, chosen, path, report, before).path

    def network(self, checkpoint: str | Path | None = None, prefer: Preference = "metric") -> PyTorchModel:
        """Open a checkpoint of this run for ``cuelight.prediction.predict``.

        Args:
            checkpoint: The file; the best one of the run if left out.
            prefer: Which best one: by the main metric, or by the validation loss.

        Returns:
            The model, on the CPU.

        Raises:
            CheckpointError: If there is no checkpoint, or it cannot be read.
        """
        training = self._finished(Path()).with_exporter(ExporterConfig())
        weights = training.load(self._chosen(checkpoint, "predict with", prefer))
        names = weights.module.output_names if isinstance(weights.module, NamesOutputs) else None
        return PyTorchModel(weights.module, training.describe(weights), names)

    def finish(self) -> Result:
        """Run the steps after the training that are missing, have failed, or were done with other weights.

        Returns:
            What became of each step.

        Raises:
            CheckpointError: If this run has no checkpoint.
        """
        last = latest_checkpoint(self._checkpoint_folder())
        if last is None:
            raise CheckpointError(f"{self.directory} has no checkpoint to finish with: train it first.")
        step = int(load_checkpoint(last).get("global_step", 0))
        training = self._finished(self._checkpoint_folder().parent, step)
        _remove_partial_files_in(training.directory)
        steps = [entry.callback for entry in planned_callbacks(self.config) if isinstance(entry.callback, TrainEndStep)]
        before = read_outcomes(training.directory)
        return self._result([self._finish_step(step, training, before.get(step.step_name)) for step in steps])

    def verify(self) -> list[Check]:
        """Check whether what was measured is what was shipped.

        Returns:
            One entry for each file and each weight that was compared.

        Raises:
            CheckpointError: If this run has no directory.
        """
        return verify(self._finished(self._checkpoint_folder().parent))

    def best(self, prefer: Preference = "metric") -> BestCheckpoint | None:
        """Find the best checkpoint.

        Args:
            prefer: By the main metric, or by the validation loss; the other one where there is none of those.

        Returns:
            The checkpoint, or ``None`` if none was kept.

        Raises:
            CheckpointError: If this run has no directory yet.
        """
        metric = main_metric(self.config)
        return best_checkpoint(kept_checkpoints(self._checkpoint_folder()), prefer, metric[0] if metric else None)

    def has_checkpoints(self) -> bool:
        """Tell whether something was saved in this run.

        Returns:
            Whether there is any checkpoint.
        """
        return self.directory is not None and any((self.directory / CHECKPOINT_FOLDER).glob("*.ckpt"))

    def _checkpoint_folder(self) -> Path:
        if self.directory is None:
            raise CheckpointError(
                "This run has no directory: train it first. A checkpoint that was copied out of its run directory can be "
                "tested, exported and archived; to resume, finish or verify, give the run directory."
            )
        return self.directory / CHECKPOINT_FOLDER

    def _prepare_directory(self, output: Path) -> Path:
        if self.directory is None:
            self.directory = make_run_directory(output, self.config.name)
        if is_first_process():
            _remove_partial_files_in(self.directory)
            write_text(self.directory / CONFIG_FILE, self.config.to_yaml())
        return self.directory

    def _train(self, output: Path, resume: Path | None) -> Result:
        planned = self.plan()
        resumed_from = step_of(resume) if resume else 0
        directory = self._prepare_directory(output)
        pl.seed_everything(self.config.trainer.seed, workers=True, verbose=False)
        data = build_data(self.config)
        description = describe_data(data)
        model = build_model(self.config, description, fresh=resume is None)
        callbacks = [entry.callback for entry in place_model_callbacks(planned, take_model_callbacks(model))]
        loggers = build_loggers(self.config.tracker, directory, resumed_from)
        for tracker in loggers:
            tracker.log_hyperparams(self.config.to_dict())
        saved_with = AtomicCheckpointIO(self.config.to_dict())
        described = {DATA_DESCRIPTION: description.to_dict()}
        saved_with = AtomicCheckpointIO(self.config.to_dict(), described)
        trainer = build_trainer(self.config.trainer, callbacks, loggers, directory, saved_with)
        steps = train_end_steps(trainer)
        for step in steps:
            step.raise_at_the_end = False  # what failed is part of the result
        trainer.fit(model, datamodule=data, ckpt_path=resume, weights_only=True)
        _raise_if_stopped(callbacks)
        if not _leave_process_group(trainer):
            return Result(directory)
        if reason := why_it_ended(trainer):
            logger.info(reason)
        outcomes = [step.outcome for step in steps if step.outcome is not None]
        # There was nothing left to train, or other processes have trained: what is done already is not done again.
        if len(outcomes) == len(steps) or not self.has_checkpoints():
            return self._result(outcomes)
        return self.finish()

    def _finish_step(self, step: TrainEndStep, training: FinishedTraining, before: Outcome | None) -> Outcome:
        if before and before.status == "ok" and before.is_intact(training.directory):
            try:
                if step.is_done(training, before):
                    return before
            except CuelightError as error:
                logger.debug("%s is run again: %s", step.step_name, error)
        return step.run(training, self._console())

    def _result(self, outcomes: Sequence[Outcome]) -> Result:
        best = self._best_or_none()
        tested = next((outcome for outcome in outcomes if "metrics" in outcome.details), None)
        if tested is None or self.directory is None:
            return Result(self.directory, best=best, outcomes=tuple(outcomes))
        checkpoint = self.directory / tested.checkpoint
        return Result(self.directory, checkpoint, tested.details["metrics"], best, tuple(outcomes))

    def _finished(self, directory: Path, step: int | None = None) -> FinishedTraining:
        """What the steps after the training work with; with trackers if they are told the step."""
        checkpoints = self.directory / CHECKPOINT_FOLDER if self.directory else None
        loggers = build_loggers(self.config.tracker, directory, step) if step is not None else []
        return finished_run(self.config, self.directory or directory, checkpoints, loggers, step or 0)

    def _chosen(self, checkpoint: str | Path | None, verb: str, prefer: Preference = "metric") -> Path:
        if checkpoint:
            return Path(checkpoint)
        best = self.best(prefer) if self.directory else None
        if best is None:
            raise CheckpointError(f"{self.directory or 'This run'} has no checkpoint to {verb}: train it first.")
        return best.path

    def _best_or_none(self) -> BestCheckpoint | None:
        return self.best() if self.directory else None

    def _console(self) -> Console | None:
        return self.display.console if isinstance(self.display, ProgressDisplay) else None


def _remove_partial_files_in(directory: Path) -> None:
    for folder in (directory, *(path for path in directory.iterdir() if path.is_dir())):
        remove_partial_files(folder)


def _own_config(checkpoint: str | Path) -> dict[str, Any]:
    described = load_checkpoint(checkpoint).get("hyper_parameters", {})
    if "model" not in described or "data" not in described:
        raise CheckpointError(
            f"{checkpoint}: this checkpoint does not say how it was trained, so Cuelight did not save it. Expected one "
            "out of a run directory."
        )
    return dict(described)


def _raise_if_stopped(callbacks: Sequence[pl.Callback]) -> None:
    """A signal that came after the last batch finds the training complete, and still means: go no further."""
    for callback in callbacks:
        if isinstance(callback, LastCheckpoint) and callback.received_signal is not None:
            raise TrainingInterrupted(callback.received_signal)


def _leave_process_group(trainer: pl.Trainer) -> bool:
    """End the distributed part of a run.

    Returns:
        Whether this process is the one that goes on.
    """
    first = trainer.is_global_zero
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.barrier()
        torch.distributed.destroy_process_group()
    return first
