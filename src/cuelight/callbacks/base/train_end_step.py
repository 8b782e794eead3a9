"""The base class of the steps after a training. They run in the order of the callbacks, on rank 0."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import lightning.pytorch as pl
from lightning.pytorch.callbacks import ModelCheckpoint
from rich.console import Console

from cuelight.callbacks.added.last_checkpoint import LastCheckpoint
from cuelight.callbacks.added.progress import ProgressDisplay
from cuelight.callbacks.base.check import others_before, require_no_problem
from cuelight.config import Config
from cuelight.errors import ConfigWarning, Problem
from cuelight.train_end.display import showing
from cuelight.train_end.finished_training import FinishedTraining, StepSkipped
from cuelight.train_end.from_trainer import finished_by, is_sharded
from cuelight.train_end.outcomes import Outcome, TrainEndError
from cuelight.train_end.ranks import on_first_rank
from cuelight.train_end.running import StepResult, run_step
from cuelight.utils.trainer_callbacks import callbacks_of, directory_of
from cuelight.utils.wrap_method import wrap_method
from cuelight.weights.best import Preference

logger = logging.getLogger(__name__)


class TrainEndStep(pl.Callback, ABC):
    """A step after a complete training.

    It runs in ``on_train_end``, on rank 0, while the other ranks wait. Its outcome is recorded in ``outcomes.json`` in
    the run directory. After a failure the next steps still run, and the error is raised when
    everything has been torn down.

    Attributes:
        raise_at_the_end: Whether failures are raised after all steps have run; they are in ``outcome`` in any case.
        outcome: The outcome of the step; ``None`` before it has run.
        training: The finished training. Only the first step of a trainer holds it, for all of them.
        preferred_checkpoint: The best by the main metric, or by the validation loss.
    """

    raise_at_the_end: bool = True
    outcome: Outcome | None = None
    training: FinishedTraining | None = None
    preferred_checkpoint: Preference = "metric"
    _directory = Path()

    @property
    def step_name(self) -> str:
        """The name of the step in ``outcomes.json``."""
        return type(self).__name__

    @abstractmethod
    def work(self, training: FinishedTraining, report: Callable[[str], None], console: Console | None) -> StepResult:
        """Do the work of the step; ``report`` gets the name of each stage.

        Raises:
            StepSkipped: If there is nothing to do.
        """

    @abstractmethod
    def is_done(self, training: FinishedTraining, outcome: Outcome) -> bool:
        """Return whether running the step again would give the same result.

        Args:
            training: The finished training.
            outcome: The outcome of the last run, whose files are intact.
        """

    def check(self, config: Config | None, callbacks: Sequence[pl.Callback]) -> Iterator[Problem | ConfigWarning]:
        """Find an earlier step of the same name, whose results would be overwritten."""
        steps = [callback for callback in others_before(self, callbacks) if isinstance(callback, TrainEndStep)]
        if self.step_name in [step.step_name for step in steps]:
            yield Problem(f"{self.step_name} is listed twice, and the second would overwrite the first. Remove one.")

    def run(self, training: FinishedTraining, console: Console | None = None) -> Outcome:
        """Run the step now; ``console=None`` shows no progress."""
        self.outcome = self._run(training.directory, lambda: training, console)
        return self.outcome

    def _run(self, directory: Path, make: Callable[[], FinishedTraining], console: Console | None) -> Outcome:
        with showing(self.step_name, console) as report:
            return run_step(self.step_name, directory, lambda: self.work(make(), report, console))

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Check before the training whether the step can work."""
        if stage == "fit":
            self.outcome = None
            require_no_problem(self, trainer)
            if train_end_steps(trainer)[0] is self and trainer.is_global_zero:
                _warn_without_best_checkpoint(trainer)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Run the step, unless the training was stopped by a signal."""
        for callback in _last_checkpoints(trainer):
            callback.release_signals()
        self._directory = directory_of(trainer)
        self.outcome = on_first_rank(lambda: self._run_in(trainer, pl_module, self._directory))

    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """In the last step: schedule the error of all failed steps, to be raised after teardown."""
        self.training = None
        steps = train_end_steps(trainer)
        outcomes = [step.outcome for step in steps if step.outcome is not None]
        failed = any(outcome.status == "failed" for outcome in outcomes)
        if stage == "fit" and failed and steps[-1] is self and self.raise_at_the_end:
            _raise_after_teardown(trainer, TrainEndError(outcomes, self._directory))

    def _run_in(self, trainer: pl.Trainer, module: pl.LightningModule, directory: Path) -> Outcome:
        if trainer.fast_dev_run:  # type: ignore[attr-defined]  # Lightning sets it by setattr
            return Outcome(self.step_name, "skipped", "fast_dev_run saves no checkpoint.")
        if reason := _why_not(trainer):
            return run_step(self.step_name, directory, lambda: _skip(reason))
        return self._run(directory, lambda: _finished(trainer, module, directory), _console(trainer))


def _warn_without_best_checkpoint(trainer: pl.Trainer) -> None:
    saving = [callback for callback in trainer.checkpoint_callbacks if isinstance(callback, ModelCheckpoint)]
    if any(callback.monitor for callback in saving) or _last_checkpoints(trainer):
        return  # the check of LastCheckpoint warns in a run
    used = "the latest checkpoint is used" if saving else "they will be skipped, because there is no checkpoint"
    logger.warning(
        "No ModelCheckpoint monitors a metric, so the steps after the training have no best checkpoint: %s. Add, for "
        'example, ModelCheckpoint(monitor="val/loss").',
        used,
    )


def _finished(trainer: pl.Trainer, module: pl.LightningModule, directory: Path) -> FinishedTraining:
    """Return the same finished training for all steps, so that they load the weights once."""
    first = train_end_steps(trainer)[0]
    if first.training is None:
        first.training = finished_by(trainer, module, directory)
    return first.training


def train_end_steps(trainer: pl.Trainer) -> list[TrainEndStep]:
    """Return the steps among the callbacks of a trainer, in order."""
    return [callback for callback in callbacks_of(trainer) if isinstance(callback, TrainEndStep)]


def _raise_after_teardown(trainer: pl.Trainer, error: TrainEndError) -> None:
    """Raise an error after the report of the profiler, which is the last thing that Lightning does in ``fit``."""

    def describe_and_raise(describe: Callable[[], None]) -> None:
        undo()
        describe()
        raise error

    undo = wrap_method(trainer.profiler, "describe", describe_and_raise)  # type: ignore[attr-defined]  # Lightning sets it by setattr


def _why_not(trainer: pl.Trainer) -> str | None:
    if is_sharded(trainer):
        return "the strategy shards the weights over the devices. Run the missing steps after the training."
    if any(callback.received_signal is not None for callback in _last_checkpoints(trainer)):
        return "the training was stopped by a signal. Resume it, or run the missing steps later."
    return None


def _last_checkpoints(trainer: pl.Trainer) -> list[LastCheckpoint]:
    return [callback for callback in callbacks_of(trainer) if isinstance(callback, LastCheckpoint)]


def _skip(reason: str) -> StepResult:
    raise StepSkipped(reason)


def _console(trainer: pl.Trainer) -> Console | None:
    bar = trainer.progress_bar_callback
    return bar.console if isinstance(bar, ProgressDisplay) else Console(stderr=True) if bar else None
