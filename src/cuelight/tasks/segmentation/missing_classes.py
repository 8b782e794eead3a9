"""Warn of classes that no pixel of a split has."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import lightning.pytorch as pl
from torch import Tensor

from cuelight.utils.words import first_of

logger = logging.getLogger(__name__)

_MOST_NAMED = 10


def warn_of_missing_classes(
    trainer: pl.Trainer, split: str, confusion: Tensor, class_names: Sequence[str], ignore_index: int
) -> None:
    """Log which classes are in no mask of a split, once all processes have counted it.

    Args:
        trainer: The trainer; each of its processes calls this.
        split: Such as ``val``.
        confusion: The counts of this process, a row for each true class.
        class_names: The name of each class.
        ignore_index: The value of ignored pixels.
    """
    pixels = trainer.strategy.reduce(confusion.sum(dim=1), reduce_op="sum").tolist()
    names = {index: name for index, name in enumerate(class_names) if index != ignore_index}
    missing = [name for index, name in names.items() if not pixels[index]]
    if not missing or not trainer.is_global_zero:
        return
    if len(missing) == len(names):
        logger.warning(
            "%s: no pixel of any mask has a class: all of them are %d, which is ignored. The metrics and the loss are "
            "NaN. Check the masks.",
            split, ignore_index,
        )  # fmt: skip
        return
    logger.warning(
        "%s: no pixel of %d of %d classes: %s. Its metrics do not measure them.",
        split, len(missing), len(names), first_of(missing, _MOST_NAMED),
    )  # fmt: skip
