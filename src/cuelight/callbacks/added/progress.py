"""Progress output during the training."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.callbacks import ProgressBar
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Column

from cuelight.callbacks.added.stop_after_steps import StopAfterSteps
from cuelight.utils.trainer_callbacks import callbacks_of

_SECONDS_BETWEEN_READINGS = 0.5  # reading a metric synchronizes with the GPU


class ProgressDisplay(ProgressBar):
    """Prints a line for each epoch and, on a terminal, shows bars for the training and the validation or test.

    Args:
        console: Where to print; standard error if left out. Without a terminal only the lines are printed.
    """

    def __init__(self, console: Console | None = None) -> None:
        super().__init__()
        self._console = console or Console(stderr=True)
        self._enabled = True
        self._bars: _Bars | None = None
        self._epoch_began = 0.0
        self._last_reading = 0.0
        self._finished_epoch = ""

    @property
    def console(self) -> Console | None:
        """The console; ``None`` if the display is disabled."""
        return self._console if self._enabled else None

    def disable(self) -> None:
        """Show nothing. Lightning calls this on every rank but the first."""
        self._enabled = False

    def enable(self) -> None:
        """Enable the output again."""
        self._enabled = True

    def get_metrics(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> dict[str, Any]:
        """Return the metrics logged for the progress bar by name, without the logger's version number."""
        metrics = super().get_metrics(trainer, pl_module)
        metrics.pop("v_num", None)
        return metrics

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Show the bar of the whole training."""
        self._epoch_began = time.monotonic()  # a resume within an epoch has no on_train_epoch_start
        self._open(_batches_of_training(trainer), int(trainer.fit_loop.epoch_loop.batch_progress.total.ready))

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Print the line of the previous epoch, whose metrics are complete now, and name the new one."""
        self._report_epoch(trainer, pl_module)
        self._epoch_began = time.monotonic()
        if self._bars:
            self._bars.update_training(description=_epoch_name(trainer))

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Advance the bar."""
        if not self._bars:
            return
        self._bars.advance_training()
        if time.monotonic() - self._last_reading > _SECONDS_BETWEEN_READINGS:
            self._last_reading = time.monotonic()
            metrics = self.get_metrics(trainer, pl_module)
            of_step = {name: value for name, value in metrics.items() if name.endswith("_step")}
            self._bars.update_training(metrics=_as_text(of_step or metrics))

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Measure the time of the epoch."""
        seconds = time.monotonic() - self._epoch_began
        self._finished_epoch = f"{_epoch_name(trainer)}  {{}}  [dim]{seconds:.1f} s[/dim]"

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Show the bar of the validation."""
        self._open()
        if self._bars:
            self._bars.start_stage("validation", _total(trainer.num_val_batches))

    def on_validation_batch_end(self, *_: Any, **__: Any) -> None:
        """Advance the bar."""
        self._advance_stage()

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Remove the bar."""
        self._end_stage(trainer)

    def on_test_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Show the bar of the test."""
        self._open()
        if self._bars:
            self._bars.start_stage("test", _total(trainer.num_test_batches))

    def on_test_batch_end(self, *_: Any, **__: Any) -> None:
        """Advance the bar."""
        self._advance_stage()

    def on_test_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Remove the bar."""
        self._end_stage(trainer)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Print the line of the last epoch and remove the bars."""
        self._report_epoch(trainer, pl_module)
        self._close()

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Remove the bars."""
        self._close()

    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Remove the bars."""
        self._close()

    def _report_epoch(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self._enabled and self._finished_epoch:
            metrics = self.get_metrics(trainer, pl_module)
            names = [name for name in metrics if not name.endswith("_step")]
            # training metrics first
            of_epoch = {name: metrics[name] for name in sorted(names, key=lambda name: not name.startswith("train"))}
            line = self._finished_epoch.format(escape(_as_text(of_epoch)))
            self._console.print(line, highlight=False, soft_wrap=True)
        self._finished_epoch = ""

    def _open(self, training_batches: int | None = None, done: int = 0) -> None:
        if self._enabled and self._console.is_terminal and self._bars is None:
            self._bars = _Bars(self._console)
        if self._bars and training_batches is not None:
            self._bars.start_training(training_batches or None, done)

    def _close(self) -> None:
        if self._bars:
            self._bars.stop()
            self._bars = None

    def _advance_stage(self) -> None:
        if self._bars:
            self._bars.advance_stage()

    def _end_stage(self, trainer: pl.Trainer) -> None:
        if self._bars:
            self._bars.end_stage()
        if trainer.state.fn != "fit":
            self._close()


class _Bars:
    """Two rich bars: the whole training, and the current validation or test."""

    def __init__(self, console: Console) -> None:
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(elapsed_when_finished=True),
            TextColumn("{task.fields[metrics]}", markup=False, table_column=Column(no_wrap=True, overflow="ellipsis")),
            console=console,
            transient=True,
            refresh_per_second=5,
        )
        self._training: TaskID | None = None
        self._stage: TaskID | None = None
        self._progress.start()

    def start_training(self, batches: int | None, done: int) -> None:
        if self._training is not None:
            self._progress.remove_task(self._training)
        self._training = self._progress.add_task("training", total=batches, completed=done, metrics="")

    def update_training(self, **fields: Any) -> None:
        if self._training is not None:
            self._progress.update(self._training, **fields)

    def advance_training(self) -> None:
        if self._training is not None:
            self._progress.advance(self._training)

    def start_stage(self, name: str, batches: int | None) -> None:
        self.end_stage()
        self._stage = self._progress.add_task(name, total=batches, metrics="")

    def advance_stage(self) -> None:
        if self._stage is not None:
            self._progress.advance(self._stage)

    def end_stage(self) -> None:
        if self._stage is not None:
            self._progress.remove_task(self._stage)
            self._stage = None

    def stop(self) -> None:
        self._progress.stop()


def _epoch_name(trainer: pl.Trainer) -> str:
    number = trainer.current_epoch + 1
    return f"epoch {number}/{trainer.max_epochs}" if (trainer.max_epochs or -1) > 0 else f"epoch {number}"


def _batches_of_training(trainer: pl.Trainer) -> int:
    """Return the number of batches of the whole training; 0 if unknown."""
    per_epoch, epochs = trainer.num_training_batches, trainer.max_epochs
    limits = [
        callback.max_steps * trainer.accumulate_grad_batches
        for callback in callbacks_of(trainer)
        if isinstance(callback, StopAfterSteps)
    ]
    if epochs is not None and epochs >= 0 and per_epoch != float("inf"):
        limits.append(int(per_epoch) * epochs)
    return min(limits, default=0)


def _total(batches: list[int | float]) -> int | None:
    total = sum(batches)
    return int(total) if total != float("inf") else None


def _as_text(metrics: Mapping[str, Any]) -> str:
    return "  ".join(f"{name} {float(value):<7.4g}" for name, value in metrics.items())
