"""A configuration made runnable: plan it, train it, resume it, test it."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch

from cuelight import registry
from cuelight.building import build_data, build_model
from cuelight.callbacks.last_checkpoint import LastCheckpoint
from cuelight.config import Config, load_config
from cuelight.data.protocols import NamesSplits
from cuelight.ending import why_it_ended
from cuelight.errors import CheckpointError, TrainingInterrupted
from cuelight.evaluation import View, evaluate, write_results
from cuelight.files import remove_partial_files, write_text
from cuelight.plan import PlannedCallback, check_together, main_metric, place_model_callbacks, planned_callbacks
from cuelight.rules import cautions
from cuelight.run_directory import (
    CHECKPOINT_FOLDER,
    CONFIG_FILE,
    find_run_directory,
    is_first_process,
    make_run_directory,
)
from cuelight.tracking.loggers import build_loggers
from cuelight.trainer import build_trainer, take_model_callbacks
from cuelight.weights.best import BestCheckpoint, best_checkpoint
from cuelight.weights.checkpoint_io import AtomicCheckpointIO, load_checkpoint
from cuelight.weights.resuming import LAST_CHECKPOINT, latest_checkpoint, step_of

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Result:
    """What a training or a test came to.

    Args:
        directory: The run directory, if there is one.
        checkpoint: The checkpoint that was measured; ``None`` if there was nothing to measure.
        metrics: The metrics by name; empty if there was nothing to measure.
        best: The best checkpoint of the run, if one was kept.
    """

    directory: Path | None
    checkpoint: Path | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    best: BestCheckpoint | None = None


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
        """Train, keep the best and the last checkpoint, and test the best one where the data has a test split.

        Args:
            output: The folder of all runs; not used if this run has its directory already.

        Returns:
            The run directory, the best checkpoint and its test results.

        Raises:
            TrainingInterrupted: On a signal, after ``last.ckpt`` was saved.
            CheckpointError: If a checkpoint cannot be written, or this run holds a training already.
        """
        if self.directory is not None and is_first_process() and any(self._checkpoint_folder().glob("*.ckpt")):
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
            view: The split of the data: ``test`` or ``val``.

        Returns:
            The metrics, also written to ``test/results.json`` if this run has a directory.

        Raises:
            CheckpointError: If there is no checkpoint, or it cannot be read.
        """
        best = self.best() if self.directory else None
        measured = Path(checkpoint) if checkpoint else best.path if best else None
        if measured is None:
            raise CheckpointError(f"{self.directory or 'This run'} has no checkpoint to test: train it first.")
        metrics = evaluate(self.config, measured, build_data(self.config), view, self.display)
        return self._record(measured, view, metrics, best)

    def best(self) -> BestCheckpoint | None:
        """Find the best checkpoint: by the main metric, or by the loss where there is none of the metric.

        Returns:
            The checkpoint, or ``None`` if none was kept.

        Raises:
            CheckpointError: If this run has no directory yet.
        """
        folder = self._checkpoint_folder()
        if not (folder / LAST_CHECKPOINT).is_file():
            return None
        states = load_checkpoint(folder / LAST_CHECKPOINT).get("callbacks", {})
        metric = main_metric(self.config)
        return best_checkpoint(states, folder, main_metric=metric[0] if metric else None)

    def _checkpoint_folder(self) -> Path:
        if self.directory is None:
            raise CheckpointError(
                "This run has no directory: train it first. A checkpoint that was copied out of its run directory goes "
                "on from <run directory>/checkpoints only."
            )
        return self.directory / CHECKPOINT_FOLDER

    def _prepare_directory(self, output: Path) -> Path:
        if self.directory is None:
            self.directory = make_run_directory(output, self.config.name)
        if is_first_process():
            for folder in (self.directory, self.directory / CHECKPOINT_FOLDER, self.directory / "test"):
                remove_partial_files(folder)
            write_text(self.directory / CONFIG_FILE, self.config.to_yaml())
        return self.directory

    def _train(self, output: Path, resume: Path | None) -> Result:
        planned = self.plan()
        resumed_from = step_of(resume) if resume else 0
        directory = self._prepare_directory(output)
        pl.seed_everything(self.config.trainer.seed, workers=True, verbose=False)
        data = build_data(self.config)
        model = build_model(self.config, data, fresh=resume is None)
        callbacks = [entry.callback for entry in place_model_callbacks(planned, take_model_callbacks(model))]
        loggers = build_loggers(self.config.tracker, directory, resumed_from)
        for tracker in loggers:
            tracker.log_hyperparams(self.config.to_dict())
        saved_with = AtomicCheckpointIO(self.config.to_dict())
        trainer = build_trainer(self.config.trainer, callbacks, loggers, directory, saved_with)
        trainer.fit(model, datamodule=data, ckpt_path=resume, weights_only=True)
        _raise_if_stopped(callbacks)
        if not _leave_process_group(trainer):
            return Result(directory)
        if reason := why_it_ended(trainer):
            logger.info(reason)
        return self._test_best(data, trainer)

    def _test_best(self, data: pl.LightningDataModule, trainer: pl.Trainer) -> Result:
        best = self.best()
        measured = best.path if best else self._checkpoint_folder() / LAST_CHECKPOINT
        if not measured.is_file() or not _has_test_split(data):
            return Result(self.directory, best=best)
        metrics = evaluate(self.config, measured, data, "test", self.display, trainer)
        for tracker in trainer.loggers:
            tracker.log_metrics(metrics, trainer.global_step)
            tracker.save()
        return self._record(measured, "test", metrics, best)

    def _record(self, measured: Path, view: View, metrics: Mapping[str, float], best: BestCheckpoint | None) -> Result:
        if self.directory is not None:
            write_results(self.directory, view, measured, metrics)
        return Result(self.directory, measured, metrics, best)


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


def _has_test_split(data: pl.LightningDataModule) -> bool:
    if isinstance(data, NamesSplits):
        return "test" in data.split_names
    return type(data).test_dataloader is not pl.LightningDataModule.test_dataloader
