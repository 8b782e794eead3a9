"""A stop on SIGINT or SIGTERM that loses nothing."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
from pathlib import Path
from types import FrameType
from typing import Any

import lightning.pytorch as pl

from cuelight.callbacks.last_checkpoint import LAST_CHECKPOINT
from cuelight.errors import TrainingInterrupted

logger = logging.getLogger(__name__)

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class StopOnSignal(pl.Callback):
    """Stops at a batch boundary on Ctrl-C or SIGTERM, after saving ``last.ckpt``; a second signal stops at once.

    Training goes on to the next optimizer step, so that no accumulated gradient is lost. During validation the
    state from before the validation is saved, and a resume validates again from the first batch. All processes of
    a distributed training stop together, whichever of them got the signal.

    Args:
        dirpath: The folder of ``last.ckpt``; ``checkpoints`` in the trainer's ``default_root_dir`` if left out.

    Raises:
        TrainingInterrupted: Out of ``trainer.fit``, once the state is saved.
    """

    def __init__(self, dirpath: str | None = None) -> None:
        self.dirpath = dirpath
        self._received: int | None = None
        self._previous: dict[int, Any] = {}
        self._step_before_batch = 0

    @property
    def received(self) -> int | None:
        """The number of the signal that asked for the stop, if one did."""
        return self._received

    def on_sanity_check_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Listen, from the first batch that the trainer runs."""
        self._listen()

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Listen, also where there was no sanity check."""
        self._listen()

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Stop between two epochs."""
        if self._asked(trainer):
            self._stop(trainer)

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Note where the optimizer stands."""
        self._step_before_batch = trainer.global_step

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Stop after an optimizer step, unless a validation or the end of the epoch comes next."""
        stepped = trainer.global_step > self._step_before_batch
        if self._asked(trainer) and stepped and not _validation_or_epoch_end_follows(trainer, batch_idx):
            self._stop(trainer)

    def on_validation_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Stop within the validation of a training."""
        if trainer.state.fn == "fit" and not trainer.sanity_checking and self._asked(trainer):
            _forget_this_validation(trainer)
            self._stop(trainer)

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Give the signals back."""
        self._unlisten()

    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Give the signals back."""
        self._unlisten()

    def _listen(self) -> None:
        if self._previous or threading.current_thread() is not threading.main_thread():
            return
        self._received = None
        for number in _SIGNALS:
            self._previous[number] = signal.signal(number, self._handle)

    def _unlisten(self) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        self._previous = {}

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self._received is not None:
            _die(number)
        self._received = number
        logger.warning(
            "%s: stopping at the next batch boundary and saving %s; a second signal stops at once.",
            signal.Signals(number).name,
            LAST_CHECKPOINT,
        )

    def _asked(self, trainer: pl.Trainer) -> bool:
        asked = self._received is not None
        if trainer.world_size > 1:
            asked = trainer.strategy.reduce_boolean_decision(asked, all=False)
        return asked

    def _stop(self, trainer: pl.Trainer) -> None:
        folder = Path(self.dirpath) if self.dirpath else Path(trainer.default_root_dir) / "checkpoints"
        trainer.save_checkpoint(folder / LAST_CHECKPOINT)
        raise TrainingInterrupted(self._received or signal.SIGTERM)


def _validation_or_epoch_end_follows(trainer: pl.Trainer, batch_idx: int) -> bool:
    """Whether a checkpoint saved now would make a resume skip the validation that this batch is followed by."""
    if trainer.fit_loop.epoch_loop.batch_progress.is_last_batch:
        return True
    interval = trainer.val_check_batch
    return bool(interval) and (batch_idx + 1) % interval == 0


def _forget_this_validation(trainer: pl.Trainer) -> None:
    """Make the saved progress say that the validation under way has begun and seen no batch.

    Lightning then runs it again from its first batch; left as it is, the resumed validation would see only the
    batches that remain, and its metrics would be of those alone.
    """
    progress = trainer.fit_loop.epoch_loop.val_loop.batch_progress
    progress.reset()
    progress.total.ready = progress.total.started = 1


def _die(number: int) -> None:
    if sys.stdout.isatty():
        os.write(sys.stdout.fileno(), b"\x1b[?25h\n")  # a live display may have hidden the cursor
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
