"""Warn of the first loss that is NaN or infinite."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import lightning.pytorch as pl
import torch
from torch import Tensor

logger = logging.getLogger(__name__)

_NEVER = torch.iinfo(torch.int64).max


class WatchLoss(pl.Callback):
    """Warns once if the training loss is NaN or infinite, with the optimizer step at which it began.

    The loss is not read at each step, which would wait for the GPU, but at each validation and at the end of an epoch.
    """

    def __init__(self) -> None:
        self._first: Tensor | None = None

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Begin to watch."""
        self._first = torch.tensor(_NEVER, device=pl_module.device)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Note the step of the first loss that is not finite."""
        loss = outputs.get("loss") if isinstance(outputs, Mapping) else outputs
        if self._first is not None and isinstance(loss, Tensor):
            is_finite = loss.detach().isfinite().all().to(self._first.device)
            step = torch.where(is_finite, _NEVER, trainer.global_step)
            self._first = torch.minimum(self._first, step)

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Warn."""
        self._warn(trainer)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Warn."""
        self._warn(trainer)

    def _warn(self, trainer: pl.Trainer) -> None:
        if not trainer.is_global_zero or self._first is None or (step := int(self._first)) == _NEVER:
            return
        logger.warning(
            "The training loss is NaN or infinite since step %d. Check the images and labels of the training data, or "
            "lower the learning rate.",
            step,
        )
        self._first = None
