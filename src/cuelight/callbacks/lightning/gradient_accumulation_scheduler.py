"""Gradient accumulation that changes from epoch to epoch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import lightning.pytorch as pl
from lightning.pytorch import callbacks

from cuelight.config import Config
from cuelight.errors import Problem


class GradientAccumulationScheduler(callbacks.GradientAccumulationScheduler):
    """Changes the number of accumulated batches from epoch to epoch.

    Args:
        scheduling: Number of batches per optimizer step, by the first epoch in which it applies: {0: 8, 4: 4}.

    Raises:
        ValueError: If an epoch is not an integer of at least 0, or a number of batches is not an integer of at least 1.
    """

    def __init__(self, scheduling: dict[int, int]) -> None:
        expected = "expected a mapping of whole numbers, epoch (at least 0) to batches (at least 1): {0: 8, 4: 4}"
        try:
            checked = {int(epoch): factor for epoch, factor in scheduling.items()}
        except ValueError as error:
            raise ValueError(f"{expected}, got {scheduling}") from error
        numbers = [*checked, *checked.values()]
        whole = checked and all(type(number) is int for number in numbers)
        if not whole or min(checked) < 0 or min(checked.values()) < 1:
            raise ValueError(f"{expected}, got {scheduling}")
        super().__init__(scheduling=checked)

    def check(self, config: Config | None, callbacks: Sequence[pl.Callback]) -> Iterator[Problem]:
        """Find a second setting: ``trainer.accumulate_grad_batches``."""
        factor = config.trainer.accumulate_grad_batches if config is not None else 1
        if factor != 1:
            yield Problem(
                "GradientAccumulationScheduler and trainer.accumulate_grad_batches both set how many batches are "
                f"accumulated. Remove the callback or trainer.accumulate_grad_batches: {factor}."
            )

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Set the number for an epoch that is resumed in its middle, which Lightning does only where one begins."""
        super().on_train_start(trainer, pl_module)
        trainer.accumulate_grad_batches = self.get_accumulate_grad_batches(trainer.current_epoch)
