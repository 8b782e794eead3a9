"""Mosaic and MixUp in real trainings: where they end, and that they depend on seed, epoch and image alone."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint

from cuelight.data.datasets.digit_boxes import DigitBoxes
from cuelight.data.loading.samples import SeededDataset
from cuelight.data.loading.sampling import SampleKey
from cuelight.data.reading import UnreadableImageError
from cuelight.images.preprocessing import Preprocessing

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")


class Watcher(pl.LightningModule):
    """Notes every batch of training."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = torch.nn.Parameter(torch.ones(1))
        self.seen: dict[tuple[int, int], Any] = {}

    def training_step(self, batch: Any, batch_idx: int) -> torch.Tensor:
        self.seen[self.current_epoch, batch_idx] = batch
        return (self.scale * batch[0].mean()).sum()

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.01)


def _data(num_workers: int = 0, **params: Any) -> DigitBoxes:
    return DigitBoxes(
        64, train_scenes=12, val_scenes=2, test_scenes=2, batch_size=4, num_workers=num_workers,
        **{"mosaic": 0.7, "mixup": 0.3, "close_mosaic": 1, **params},
    )  # fmt: skip


def _fit(
    folder: Path, data: DigitBoxes, *callbacks: pl.Callback, ckpt_path: Path | None = None, epochs: int = 3
) -> Any:
    watcher = Watcher()
    trainer = pl.Trainer(
        max_epochs=epochs, accelerator="cpu", devices=1, limit_val_batches=0, default_root_dir=folder, logger=False,
        callbacks=list(callbacks), enable_checkpointing=bool(callbacks), enable_progress_bar=False,
        enable_model_summary=False,
    )  # fmt: skip
    trainer.fit(watcher, datamodule=data, ckpt_path=ckpt_path, weights_only=True)
    return watcher.seen


def _same(one: Any, other: Any) -> bool:
    return torch.equal(one[0], other[0]) and all(torch.equal(one[1][name], other[1][name]) for name in one[1])


def test_images_are_mixed_until_the_last_epochs(tmp_path: Path) -> None:
    mixed, plain = _fit(tmp_path, _data()), _fit(tmp_path, _data(mosaic=0, mixup=0))

    assert sorted(mixed) == sorted(plain)
    assert [_same(mixed[place], plain[place]) for place in sorted(mixed)] == [False] * 6 + [True] * 3


@pytest.mark.parametrize("workers", [0, 2])
def test_a_resumed_training_sees_the_mixed_images_that_were_to_come(tmp_path: Path, workers: int) -> None:
    save = ModelCheckpoint(dirpath=tmp_path / "ckpt", filename="{step}", every_n_train_steps=1, save_top_k=-1)
    whole = _fit(tmp_path, _data(), save)
    resumed = _fit(tmp_path, _data(workers), ckpt_path=tmp_path / "ckpt" / "step=4.ckpt")

    assert sorted(resumed) == sorted(whole)[4:]
    assert all(_same(resumed[place], whole[place]) for place in resumed)


def test_a_training_too_short_for_mixing_is_reported(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        _fit(tmp_path, _data(close_mosaic=2), epochs=2)

    assert "no training images are mixed" in caplog.text


def test_a_partner_that_cannot_be_read_is_replaced() -> None:
    class Squares:
        def __len__(self) -> int:
            return 5

        def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
            if index in {1, 2, 3}:
                raise UnreadableImageError(f"{index}.png", "torn")
            return torch.full((1, 4, 4), index, dtype=torch.uint8), index

    class Partner:
        plain_epochs = 0
        joins_augmented = False

        def __call__(self, sample: Any, draw: Any) -> Any:
            return draw()

    preprocessing = Preprocessing(size=(4, 4), color="GRAY", mean=(0.5,), std=(0.5,))
    dataset = SeededDataset(Squares(), preprocessing, replace_unreadable=True, mixing=Partner())
    keys = [SampleKey(0, seed, mixed=True) for seed in range(20)]
    assert {sample.target for sample in dataset.__getitems__(keys)} == {0, 4}

    strict = SeededDataset(Squares(), preprocessing, mixing=Partner())
    assert {type(sample).__name__ for sample in strict.__getitems__(keys)} == {"Sample", "Unreadable"}
