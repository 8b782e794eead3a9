"""Weighted sampling, MixUp and CutMix in the data modules for classification."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from torch import Tensor

from cuelight.config import Part
from cuelight.data.base.label_data_module import LabelDataModule
from cuelight.data.datasets.digits import Digits
from cuelight.data.datasets.image_folder import ImageFolder
from cuelight.data.loading.sampling import EpochSampler
from cuelight.errors import ConfigError
from support.ranks import on_ranks
from support.trainers import quiet_trainer

pytestmark = pytest.mark.filterwarnings(
    "ignore::UserWarning", "ignore::lightning.pytorch.utilities.warnings.PossibleUserWarning"
)

MIXED: dict[str, Any] = {"sampling": "balanced", "mixup_alpha": 0.4, "cutmix_alpha": 1.0, "mix_prob": 0.8}
CROPPED = [Part(name="RandomResizedCrop", params={"size": 16, "scale": [0.5, 1.0]}), Part(name="RandomHorizontalFlip")]


@pytest.fixture
def unbalanced(tmp_path: Path, write_digits: Any) -> Path:
    """Digits in folders: 24 of zero for training, 8 of one and 4 of two; and as many of each for validation."""
    folder = tmp_path / "digits"
    for name, count in (("zero", 24), ("one", 8), ("two", 4)):
        written = write_digits(tmp_path / name, count, classes=("zero", "one", "two")) / name
        (folder / "train").mkdir(parents=True, exist_ok=True)
        written.rename(folder / "train" / name)
    write_digits(folder / "val", 4, first=30, classes=("zero", "one", "two"))
    return folder


def _data(folder: Path, **params: Any) -> ImageFolder:
    usual = {"size": 16, "color": "GRAY", "batch_size": 4, "num_workers": 0, "test_split": 0}
    return ImageFolder(folder, **usual | params)


def _batches(data: LabelDataModule[Any], epoch: int = 0) -> list[tuple[Tensor, Tensor]]:
    data.setup("fit")
    loader = data.train_dataloader()
    loader.sampler.set_epoch(epoch)
    return list(loader)


def _same(one: Any, other: Any) -> bool:
    return len(one) == len(other) and all(
        torch.equal(a[part], b[part]) for a, b in zip(one, other, strict=True) for part in (0, 1)
    )


def _drawn(data: LabelDataModule[Any], epochs: int) -> Counter[int]:
    return Counter(label for epoch in range(epochs) for _, labels in _batches(data, epoch) for label in labels.tolist())


@pytest.mark.parametrize("make", [_data, lambda _, **params: Digits(16, batch_size=4, num_workers=0, **params)])
def test_training_targets_are_shares_and_others_are_labels(unbalanced: Path, make: Any) -> None:
    data = make(unbalanced, mixup_alpha=0.4, cutmix_alpha=1.0)
    data.setup("fit")
    batches = [batch for batch, _ in zip(data.train_dataloader(), range(5), strict=False)]
    for images, targets in batches:
        assert images.shape == (4, 1, 16, 16)
        assert targets.shape == (4, len(data.class_names))
        assert targets.dtype == images.dtype == torch.float32
        torch.testing.assert_close(targets.sum(1), torch.ones(4))
    assert any((targets > 0).sum() > 4 for _, targets in batches)
    for loader in (data.val_dataloader(), data.whole_dataloader("train")):
        assert {labels.dtype for _, labels in loader} == {torch.int64}


@pytest.mark.parametrize("transforms", [None, CROPPED])
def test_batches_are_the_same_for_any_number_of_workers(unbalanced: Path, transforms: Any) -> None:
    alone, one, two = (
        _batches(_data(unbalanced, num_workers=workers, transforms=transforms, **MIXED), 1) for workers in (0, 1, 2)
    )
    assert _same(alone, one)
    assert _same(alone, two)
    assert not _same(alone, _batches(_data(unbalanced, transforms=transforms, **MIXED), 2))


def test_two_ranks_get_together_what_one_gets(unbalanced: Path) -> None:
    data = _data(unbalanced, transforms=CROPPED, **MIXED)
    data.setup("fit")
    dataset, weights = data.train_dataloader().dataset, data.sample_weights()
    made = []
    for count in (1, 2):
        samplers = [EpochSampler(dataset, 4, 42, count, rank, mixed_epochs=9, weights=weights) for rank in range(count)]
        made.append([sample for keys in zip(*samplers, strict=True) for sample in dataset.__getitems__(keys)])
    assert _same(*made)


class Watcher(pl.LightningModule):
    """Notes every batch of training."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = torch.nn.Parameter(torch.ones(1))
        self.seen: dict[tuple[int, int], tuple[Tensor, Tensor]] = {}

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        self.seen[self.current_epoch, batch_idx] = batch
        return (self.scale * batch[0].mean()).sum()

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.01)


def _fit(folder: Path, data: LabelDataModule[Any], *callbacks: pl.Callback, resume: Path | None = None) -> Any:
    watcher = Watcher()
    trainer = quiet_trainer(folder, callbacks, max_epochs=3, limit_val_batches=0)
    trainer.fit(watcher, datamodule=data, ckpt_path=resume, weights_only=True)
    return watcher.seen


@pytest.mark.parametrize("workers", [0, 2])
def test_a_resumed_training_sees_the_batches_that_were_to_come(tmp_path: Path, unbalanced: Path, workers: int) -> None:
    save = ModelCheckpoint(dirpath=tmp_path / "ckpt", filename="{step}", every_n_train_steps=1, save_top_k=-1)
    whole = _fit(tmp_path, _data(unbalanced, close_mix=1, **MIXED), save)
    data = _data(unbalanced, num_workers=workers, close_mix=1, **MIXED)
    resumed = _fit(tmp_path, data, resume=tmp_path / "ckpt" / "step=4.ckpt")

    assert len(whole) == 27
    assert sorted(resumed) == sorted(whole)[4:]
    assert _same(list(resumed.values()), [whole[place] for place in resumed])
    assert [whole[epoch, 0][1].dtype for epoch in range(3)] == [torch.float32, torch.float32, torch.int64]


def fit_on_a_rank(folder: Path) -> tuple[Any, Any]:
    watcher = Watcher()
    trainer = quiet_trainer(folder, max_epochs=2, limit_val_batches=0, devices=2, strategy="ddp")
    trainer.fit(watcher, datamodule=_data(folder, batch_size=2, transforms=CROPPED, **MIXED))
    return watcher.seen, watcher.scale


@pytest.mark.slow
def test_two_processes_train_on_what_one_does(tmp_path: Path, unbalanced: Path) -> None:
    alone = _fit(tmp_path, _data(unbalanced, transforms=CROPPED, **MIXED))
    (first, one), (second, other) = on_ranks(fit_on_a_rank, unbalanced)
    for place in first:
        for part in (0, 1):
            both = torch.stack([first[place][part], second[place][part]], 1).flatten(0, 1)
            assert torch.equal(both, alone[place][part])
    assert len(first) == 18
    assert torch.equal(one, other)


def test_balanced_sampling_draws_each_class_equally_often(unbalanced: Path) -> None:
    assert _drawn(_data(unbalanced), 2) == {2: 48, 0: 16, 1: 8}
    drawn = _drawn(_data(unbalanced, sampling="balanced"), 40)
    assert sum(drawn.values()) == 40 * 36
    assert all(drawn[label] / (40 * 36) == pytest.approx(1 / 3, abs=0.04) for label in range(3))


def test_images_are_drawn_by_the_weights_of_their_classes(unbalanced: Path) -> None:
    drawn = _drawn(_data(unbalanced, sampling={"zero": 1.0, "one": 1.0, "two": 8.0}), 40)
    assert drawn[1] / (40 * 36) == pytest.approx(0.5, abs=0.05)  # 8 * 4 of 24 + 8 + 8 * 4
    assert drawn[2] / drawn[0] == pytest.approx(3, rel=0.25)


def test_an_image_that_is_drawn_twice_is_augmented_in_two_ways(unbalanced: Path) -> None:
    sampling = {"zero": 1e-9, "one": 1e-9, "two": 1.0}
    plain, cropped = (
        torch.cat([images for images, _ in _batches(_data(unbalanced, sampling=sampling, transforms=transforms))])
        for transforms in (None, CROPPED)
    )
    assert len(plain.unique(dim=0)) <= 4
    assert len(cropped.unique(dim=0)) == 36


def test_the_other_image_is_drawn_by_the_same_weights(unbalanced: Path) -> None:
    data = _data(unbalanced, sampling="balanced", mixup_alpha=50.0)
    shares = sum(targets.sum(0) for epoch in range(20) for _, targets in _batches(data, epoch))
    assert (shares / shares.sum()).tolist() == pytest.approx([1 / 3] * 3, abs=0.05)


def test_images_are_mixed_after_their_transforms(unbalanced: Path) -> None:
    """A crop afterwards could show another share of the two images than the target."""
    inverted = [Part(name="RandomInvert", params={"p": 0.5})]
    data = _data(unbalanced, mean=[0.0], std=[1.0], transforms=inverted, cutmix_alpha=1.0)
    corners = [images[:, 0, [0, 0, -1, -1], [0, -1, 0, -1]] > 0.5 for images, _ in _batches(data)]
    different = [set(image.tolist()) == {True, False} for batch in corners for image in batch]
    assert sum(different) > 3  # two backgrounds, one of them inverted, in one image


def test_training_images_are_counted_by_class(unbalanced: Path) -> None:
    assert _data(unbalanced).class_counts() == [8, 4, 24]
    assert Digits().class_counts() == [350] * 10


@pytest.mark.parametrize(
    ("sampling", "path", "message"),
    [
        ({"zero": 1.0, "one": 1.0, "tow": 1.0}, ".tow", 'no class "tow". Did you mean "two"?'),
        ({"zero": 1.0, "one": 1.0}, "", "there is none for two."),
        ({"zero": 1.0, "one": 1.0, "two": 0.0}, ".two", ", got 0.0."),
    ],
)
def test_wrong_weights_are_refused(unbalanced: Path, sampling: Any, path: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        _batches(_data(unbalanced, sampling=sampling))
    [problem] = caught.value.problems
    assert problem.path == f"data.params.sampling{path}"
    assert message in problem.message


def test_a_class_without_training_images_cannot_be_balanced(unbalanced: Path) -> None:
    data = _data(unbalanced, sampling="balanced")
    data.use_classes(["four", "one", "two", "zero"])
    with pytest.raises(ConfigError, match="there are none of four"):
        _batches(data)
    data.sampling = {"four": 9.0, "one": 1.0, "two": 1.0, "zero": 1.0}
    assert set(_drawn(data, 1)) <= {1, 2, 3}
