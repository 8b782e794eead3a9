"""A training that was stopped in the middle of an epoch, as by a time limit, goes on there when it is resumed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import lightning.pytorch as pl


def is_cut(trainer: pl.Trainer) -> bool:
    """Return whether the training stops although batches of this epoch are left."""
    return trainer.should_stop and not trainer.fit_loop.epoch_loop.batch_progress.is_last_batch


def is_extra_validation(trainer: pl.Trainer) -> bool:
    """Return whether a validation takes place only because the training stops."""
    interval, batch = trainer.val_check_batch, trainer.fit_loop.epoch_loop.batch_progress.current.ready
    return is_cut(trainer) and not (interval and batch % interval == 0)


def leave_epoch_open(loops: Mapping[str, Any], accumulated_batches: int) -> None:
    """Change the saved progress at the end of an epoch that was cut, so that a resume continues in this epoch.

    Lightning counts such an epoch as done, so that a resume would begin the next one.

    Args:
        loops: ``checkpoint["loops"]``.
        accumulated_batches: The number of batches per optimizer step.
    """
    state = loops["fit_loop"]
    epochs, batches = state["epoch_progress"], state["epoch_loop.batch_progress"]
    if batches["is_last_batch"] or epochs["current"]["processed"] != epochs["current"]["completed"] + 1:
        return
    for progress, name in ((epochs, "processed"), (batches, "completed")):
        progress["total"][name] -= 1
        progress["current"][name] -= 1
    if batches["current"]["ready"] % accumulated_batches == 0:
        state["epoch_loop.state_dict"]["_batches_that_stepped"] -= 1  # a resume adds it again
