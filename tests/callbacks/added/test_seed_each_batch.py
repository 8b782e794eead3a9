"""Random numbers that depend on the place in the training."""

import random

import lightning.pytorch as pl
import numpy as np
import pytest
import torch

from cuelight.callbacks.added.seed_each_batch import SeedEachBatch


def _draw_at(batch_idx: int, seed: int = 42) -> tuple[float, float, float]:
    trainer = pl.Trainer(accelerator="cpu", logger=False, enable_checkpointing=False)
    SeedEachBatch(seed).on_train_batch_start(trainer, pl.LightningModule(), None, batch_idx)
    return _draw()


def _draw() -> tuple[float, float, float]:
    return torch.rand(1).item(), float(np.random.rand()), random.random()  # noqa: NPY002 - what libraries draw from


def test_the_same_place_gives_the_same_numbers_whatever_was_drawn_before() -> None:
    first = _draw_at(3)
    _draw()
    assert _draw_at(3) == first


@pytest.mark.parametrize("other", [{"batch_idx": 4}, {"batch_idx": 3, "seed": 43}])
def test_another_place_gives_other_numbers_of_every_generator(other: dict[str, int]) -> None:
    assert all(first != second for first, second in zip(_draw_at(3), _draw_at(**other), strict=True))


@pytest.mark.gpu
def test_the_device_in_use_is_seeded() -> None:
    trainer = pl.Trainer(accelerator="cuda", devices=1, logger=False, enable_checkpointing=False)
    draws = []
    for _ in range(2):
        SeedEachBatch().on_train_batch_start(trainer, pl.LightningModule(), None, 3)
        draws.append(torch.rand(1, device=trainer.strategy.root_device).item())
    assert draws[0] == draws[1]
