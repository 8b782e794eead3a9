"""Why a training ended before its last epoch."""

from __future__ import annotations

import lightning.pytorch as pl
from lightning.pytorch.callbacks import EarlyStopping, Timer

from cuelight.callbacks.added.stop_after_steps import StopAfterSteps


def why_it_ended(trainer: pl.Trainer) -> str | None:
    """Tell which callback ended a training early.

    Args:
        trainer: A trainer whose fit is over.

    Returns:
        A sentence; ``None`` if all epochs were trained.
    """
    if trainer.max_epochs is not None and 0 <= trainer.max_epochs <= trainer.current_epoch:
        return None
    for callback in trainer.callbacks:  # type: ignore[attr-defined]  # Lightning declares it nowhere
        if isinstance(callback, StopAfterSteps) and trainer.global_step >= callback.max_steps:
            return f"trainer.max_steps: {callback.max_steps} ended the training in epoch {trainer.current_epoch}."
        if isinstance(callback, EarlyStopping) and callback.stopped_epoch:
            return (
                f"EarlyStopping ended the training in epoch {callback.stopped_epoch + 1}: {callback.monitor} did not "
                f"improve {callback.patience} times, or crossed a limit."
            )
        remaining = callback.time_remaining() if isinstance(callback, Timer) else None
        if remaining is not None and remaining <= 0:
            return f"The time limit ended the training in epoch {trainer.current_epoch}."
    return None
