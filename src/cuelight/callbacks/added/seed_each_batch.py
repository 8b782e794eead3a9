"""Random numbers that depend on the position in the training only."""

from __future__ import annotations

import random
from typing import Any

import lightning.pytorch as pl
import numpy as np
import torch


class SeedEachBatch(pl.Callback):
    """Seeds Python, NumPy and torch before each training batch, from the seed, the rank, the epoch and the batch index.

    A run resumed from any batch, after any crash, therefore draws the same dropout masks as an uninterrupted one, and
    no state of a random generator has to be saved.

    Args:
        seed: The seed of the run.
    """

    def __init__(self, seed: int = 42) -> None:
        self.seed = seed

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Seed for this batch."""
        place = (self.seed, trainer.global_rank, trainer.current_epoch, batch_idx)
        state = np.random.SeedSequence(place).generate_state(2)
        _seed_torch(int(state[0]), trainer.strategy.root_device)
        np.random.seed(int(state[1]))  # noqa: NPY002 - libraries use the global generator
        random.seed(int(state[1]))


def _seed_torch(seed: int, device: torch.device) -> None:
    """Seed the CPU and the current device; ``torch.manual_seed`` is slower: it walks the stack for each other type."""
    torch.default_generator.manual_seed(seed)
    seed_device = getattr(getattr(torch, device.type, None), "manual_seed", None)  # such as torch.cuda.manual_seed
    if seed_device is not None:
        seed_device(seed)
