"""Limit the training to a number of optimizer steps."""

from __future__ import annotations

from typing import Any

import lightning.pytorch as pl


class StopAfterSteps(pl.Callback):
    """Ends the training after a number of optimizer steps, with a last validation.

    Lightning's ``max_steps`` ends without a validation, and a training resumed under it from the end of an epoch skips
    batches.

    Args:
        max_steps: The number of optimizer steps.
    """

    def __init__(self, max_steps: int) -> None:
        self.max_steps = max_steps

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """End at once if a resumed training was complete."""
        self._check(trainer)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """End after the last step."""
        self._check(trainer)

    def _check(self, trainer: pl.Trainer) -> None:
        if trainer.global_step >= self.max_steps:
            trainer.should_stop = True
