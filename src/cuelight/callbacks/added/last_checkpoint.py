"""Save the checkpoint from which a training is resumed."""

from __future__ import annotations

import signal
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import Checkpoint, ModelCheckpoint

from cuelight.callbacks.added.cut_epoch import is_cut, leave_epoch_open
from cuelight.config import Config
from cuelight.errors import ConfigWarning, TrainingInterrupted
from cuelight.utils.run_directory import CHECKPOINT_FOLDER, LAST_CHECKPOINT
from cuelight.utils.signals import StopSignal
from cuelight.utils.trainer_callbacks import directory_of
from cuelight.weights.accumulated_gradients import restore_gradients, save_gradients, saved_gradients

_METRICS_KEY = "callback_metrics"


class LastCheckpoint(Checkpoint):
    """Saves ``last.ckpt`` after every epoch, and on Ctrl-C or SIGTERM, which then stop the training.

    The training stops at a batch boundary, after the next optimizer step, so that no accumulated gradient is lost; a
    second signal ends the process at once. During validation the state from before it is saved, and a resume
    validates again from the first batch. All processes of a distributed training stop together, whichever of them
    got the signal. The checkpoint also holds ``callback_metrics``, because a resumed training may need one before
    it validates again, and the gradients of batches that wait for their optimizer step.

    It must be the last callback: a checkpoint holds the states of the callbacks at the time of saving.

    Args:
        dirpath: The folder; ``checkpoints`` in that of the first logger, or of the trainer without one, if left out.

    Raises:
        TrainingInterrupted: From ``trainer.fit``, once the state is saved after a signal.
    """

    def __init__(self, dirpath: str | None = None) -> None:
        self.dirpath = dirpath
        self._file = Path(LAST_CHECKPOINT)
        self._stop = StopSignal()
        self._step_before_batch = 0
        self._saved_to_stop = False
        self._metrics_to_restore: dict[str, float] = {}
        self._gradients_to_restore: dict[str, torch.Tensor] = {}

    def check(self, config: Config | None, callbacks: Sequence[pl.Callback]) -> Iterator[ConfigWarning]:
        """Warn if no other callback keeps a best checkpoint."""
        saving = [one for one in callbacks if isinstance(one, ModelCheckpoint) and one.save_top_k != 0]
        if not any(callback.monitor for callback in saving):
            used = (
                "the latest one of ModelCheckpoint is tested and exported"
                if saving
                else "nothing is tested or exported"
            )
            yield ConfigWarning(
                f"No callback saves a best checkpoint, so {used} after the training. Add ModelCheckpoint with a "
                "monitor, or evaluate checkpoints/last.ckpt with cuelight test."
            )

    @property
    def received_signal(self) -> int | None:
        """The number of the signal that requested a stop; ``None`` without one."""
        return self._stop.received

    def release_signals(self) -> None:
        """Restore the signal handlers after the training, so that a signal ends the following steps at once."""
        self._stop.unlisten()

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Remember the current signal handlers; in a test within a training they are this callback's own."""
        if stage == "fit":
            self._stop.note_owners()
            folder = Path(self.dirpath) if self.dirpath else directory_of(trainer) / CHECKPOINT_FOLDER
            self._file = folder / LAST_CHECKPOINT

    def on_sanity_check_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Listen for signals from the sanity check on."""
        self._listen(trainer)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Listen for signals, also without a sanity check, and restore metrics and gradients of a resumed run."""
        self._listen(trainer)
        self._saved_to_stop = False
        restored = {name: torch.tensor(value) for name, value in self._metrics_to_restore.items()}
        trainer.callback_metrics.update(restored)
        restore_gradients(pl_module, self._gradients_to_restore)
        self._gradients_to_restore = {}

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Stop if the state was saved for it."""
        self._stop_if_saved()

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Stop if the state was saved for it, and remember the optimizer step."""
        self._stop_if_saved()
        self._step_before_batch = trainer.global_step

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Save after an optimizer step if a stop was requested, unless a validation or the end of the epoch comes next.

        The training stops at the next hook, when Lightning has logged the metrics of this batch.
        """
        stepped = trainer.global_step > self._step_before_batch
        if self._asked_to_stop(trainer) and stepped and not _validation_or_epoch_end_follows(trainer, batch_idx):
            self._save(trainer)
            self._saved_to_stop = True

    def on_validation_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Stop during a validation if requested, except in the validation that ends a training."""
        within_training = trainer.state.fn == "fit" and not trainer.sanity_checking and not trainer.should_stop
        if within_training and self._asked_to_stop(trainer):
            _forget_this_validation(trainer)
            self._save(trainer)
            self._saved_to_stop = True
            self._stop_if_saved()

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Save. A requested stop follows when Lightning has logged the metrics of this epoch."""
        self._save(trainer)
        self._saved_to_stop = self._asked_to_stop(trainer)
        if _was_last_epoch(trainer):
            self._stop_if_saved()  # or the steps after the training would run

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Save once more if the file was deleted since the last epoch."""
        if _anywhere(trainer, trainer.is_global_zero and not self._file.exists()):
            self._save(trainer)

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Add ``callback_metrics`` and pending gradients to every checkpoint, and leave an epoch open that was cut."""
        if is_cut(trainer):
            leave_epoch_open(checkpoint["loops"], trainer.accumulate_grad_batches)
        checkpoint[_METRICS_KEY] = {name: float(value) for name, value in trainer.callback_metrics.items()}
        save_gradients(trainer, pl_module, checkpoint)

    def on_load_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Keep metrics and gradients until the training starts."""
        self._metrics_to_restore = dict(checkpoint.get(_METRICS_KEY, {}))
        self._gradients_to_restore = saved_gradients(checkpoint)

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Restore the signal handlers."""
        self._stop.unlisten()

    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Restore the signal handlers."""
        self._stop.unlisten()

    def _listen(self, trainer: pl.Trainer) -> None:
        self._stop.listen()
        if _anywhere(trainer, trainer.received_sigterm):  # Lightning got it, and would exit with 0
            raise TrainingInterrupted(signal.SIGTERM)

    def _asked_to_stop(self, trainer: pl.Trainer) -> bool:
        return _anywhere(trainer, self._stop.received is not None)

    def _save(self, trainer: pl.Trainer) -> None:
        if trainer.fast_dev_run:  # type: ignore[attr-defined]  # Lightning sets it by setattr
            return
        trainer.save_checkpoint(self._file)

    def _stop_if_saved(self) -> None:
        if self._saved_to_stop:
            raise TrainingInterrupted(self._stop.received or signal.SIGTERM)


def _anywhere(trainer: pl.Trainer, here: bool) -> bool:
    """Whether ``here`` is true in any process of the training."""
    return trainer.strategy.reduce_boolean_decision(here, all=False) if trainer.world_size > 1 else here


def _was_last_epoch(trainer: pl.Trainer) -> bool:
    epochs = trainer.max_epochs
    return trainer.should_stop or (epochs is not None and 0 < epochs <= trainer.current_epoch + 1)


def _validation_or_epoch_end_follows(trainer: pl.Trainer, batch_idx: int) -> bool:
    """Whether a checkpoint saved now would make a resume skip the validation that follows this batch."""
    if trainer.should_stop or trainer.fit_loop.epoch_loop.batch_progress.is_last_batch:
        return True
    interval = trainer.val_check_batch
    return bool(interval) and (batch_idx + 1) % (interval or 1) == 0


def _forget_this_validation(trainer: pl.Trainer) -> None:
    """Reset the saved progress of the current validation to "started, no batch done".

    Otherwise Lightning would resume the validation with the remaining batches, and its metrics would be of those only.
    """
    progress = trainer.fit_loop.epoch_loop.val_loop.batch_progress
    progress.reset()
    progress.total.load_state_dict({"ready": 1, "started": 1, "processed": 0, "completed": 0})
