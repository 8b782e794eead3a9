"""The data modules in Lightning's own Trainer, with nothing else of Cuelight."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import pytest
import torch
from lightning.pytorch.callbacks import Checkpoint, ModelCheckpoint
from torch import Tensor

from cuelight.config import Part
from cuelight.data.datasets.digits import Digits
from cuelight.data.datasets.image_folder import ImageFolder
from support.ranks import on_ranks
from support.trainers import quiet_trainer

pytestmark = pytest.mark.filterwarnings(
    "ignore::UserWarning", "ignore::lightning.pytorch.utilities.warnings.PossibleUserWarning"
)

AUGMENTATION = [Part(name="RandomAffine", params={"degrees": 20}), Part(name="ColorJitter", params={"brightness": 0.5})]


class TinyModel(pl.LightningModule):
    """Notes every batch that it is trained on."""

    def __init__(self, channels: int = 1, size: int = 16) -> None:
        super().__init__()
        self.layer = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(channels * size * size, 10))
        self.seen: dict[tuple[int, int], tuple[Tensor, Tensor]] = {}
        self.validated: list[int] = []
        self.fail_at: tuple[int, int] | None = None

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        if (self.current_epoch, batch_idx) == self.fail_at:
            raise InterruptedError
        self.seen[self.current_epoch, batch_idx] = batch
        return torch.nn.functional.cross_entropy(self.layer(batch[0]), batch[1])

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        self.validated += batch[1].tolist()

    test_step = validation_step

    def predict_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        return batch[1]

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.01, momentum=0.9)


def augmented_digits(folder: Path, num_workers: int = 0, batch_size: int = 4) -> ImageFolder:
    return ImageFolder(
        folder,
        size=16,
        color="GRAY",
        transforms=AUGMENTATION,
        batch_size=batch_size,
        num_workers=num_workers,
        seed=5,
    )


@pytest.fixture
def data(digit_files: Path) -> Any:
    return partial(augmented_digits, digit_files)


def _trainer(folder: Path, *callbacks: pl.Callback, **params: Any) -> pl.Trainer:
    return pl.Trainer(
        **{"max_epochs": 3, "accelerator": "cpu", "devices": 1, **params},
        default_root_dir=folder,
        callbacks=list(callbacks),
        enable_checkpointing=any(isinstance(callback, Checkpoint) for callback in callbacks),
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )


def _same(one: TinyModel, other: TinyModel, places: Any) -> bool:
    return all(torch.equal(one.seen[place][part], other.seen[place][part]) for place in places for part in (0, 1))


@pytest.mark.parametrize(("before", "after"), [(0, 0), (2, 2), (0, 2)])
@pytest.mark.parametrize("params", [{}, {"max_steps": 20}], ids=["epochs", "steps"])
def test_resumed_training_sees_the_batches_that_were_to_come(
    tmp_path: Path, data: Any, before: int, after: int, params: dict[str, Any]
) -> None:
    save = ModelCheckpoint(dirpath=tmp_path / "ckpt", filename="{step}", every_n_train_steps=1, save_top_k=-1)
    whole = TinyModel()
    _trainer(tmp_path, save, **params).fit(whole, datamodule=data(before))
    per_epoch = max(batch for _, batch in whole.seen) + 1

    # In the middle of the first and the second epoch, and at the end of one.
    for step in (2, per_epoch + 3, per_epoch):
        resumed = TinyModel()
        _trainer(tmp_path, **params).fit(resumed, datamodule=data(after), ckpt_path=tmp_path / f"ckpt/step={step}.ckpt")
        expected = sorted(whole.seen)[step:]
        assert sorted(resumed.seen) == expected
        assert _same(resumed, whole, expected)
        assert torch.equal(resumed.layer[1].weight, whole.layer[1].weight)


def test_training_resumed_from_an_epoch_sees_the_batches_of_the_next(tmp_path: Path, data: Any) -> None:
    save = ModelCheckpoint(dirpath=tmp_path / "ckpt", filename="{epoch}", save_top_k=-1, save_on_train_epoch_end=True)
    whole, resumed = TinyModel(), TinyModel()
    _trainer(tmp_path, save).fit(whole, datamodule=data())
    _trainer(tmp_path).fit(resumed, datamodule=data(), ckpt_path=tmp_path / "ckpt/epoch=1.ckpt")

    assert sorted(resumed.seen) == [place for place in sorted(whole.seen) if place[0] == 2]
    assert _same(resumed, whole, resumed.seen)


def test_a_batch_that_failed_is_trained_on_after_the_resume(tmp_path: Path, data: Any) -> None:
    whole, failed, resumed = TinyModel(), TinyModel(), TinyModel()
    _trainer(tmp_path).fit(whole, datamodule=data())
    failed.fail_at = (1, 3)
    trainer = _trainer(tmp_path)
    with pytest.raises(InterruptedError):
        trainer.fit(failed, datamodule=data())
    trainer.save_checkpoint(tmp_path / "failed.ckpt")
    _trainer(tmp_path).fit(resumed, datamodule=data(), ckpt_path=tmp_path / "failed.ckpt")

    assert min(resumed.seen) == (1, 3)
    assert _same(resumed, whole, resumed.seen)


def test_every_epoch_has_another_order(tmp_path: Path, data: Any) -> None:
    model = TinyModel()
    _trainer(tmp_path).fit(model, datamodule=data())

    assert not torch.equal(model.seen[0, 0][0], model.seen[1, 0][0])


def test_a_loop_of_limited_batches_and_reloaded_loaders_works(tmp_path: Path, data: Any) -> None:
    whole, limited = TinyModel(), TinyModel()
    _trainer(tmp_path).fit(whole, datamodule=data())
    _trainer(tmp_path, limit_train_batches=3, reload_dataloaders_every_n_epochs=1).fit(limited, datamodule=data(2))

    assert sorted(limited.seen) == [(epoch, batch) for epoch in range(3) for batch in range(3)]
    assert _same(limited, whole, limited.seen)


def test_test_and_predict_see_each_image_once_and_in_order(tmp_path: Path, data: Any) -> None:
    model, module = TinyModel(), data(2)
    trainer = _trainer(tmp_path)
    trainer.test(model, datamodule=module, verbose=False)
    predicted = trainer.predict(model, dataloaders=module.test_dataloader())

    assert model.validated == sorted(model.validated)
    assert torch.cat(predicted).tolist() == model.validated
    assert len(model.validated) == len(module._splits["test"])


def test_overfit_batches_gives_the_same_batches_each_epoch(tmp_path: Path, data: Any) -> None:
    model = TinyModel()
    _trainer(tmp_path, overfit_batches=2).fit(model, datamodule=data())

    assert sorted(model.seen) == [(epoch, batch) for epoch in range(3) for batch in range(2)]
    assert torch.equal(model.seen[0, 1][0], model.seen[2, 1][0])


def test_digits_are_learnt(tmp_path: Path) -> None:
    class Accuracy(TinyModel):
        def test_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
            self.log("accuracy", (self.layer(batch[0]).argmax(1) == batch[1]).float().mean(), batch_size=len(batch[1]))

    digits = Digits(batch_size=32)
    trainer, model = _trainer(tmp_path), Accuracy(size=28)
    trainer.fit(model, datamodule=digits)
    (result,) = trainer.test(model, datamodule=digits, verbose=False)

    assert result["accuracy"] > 0.8


class NormedModel(TinyModel):
    """Has buffers, which are broadcast at every forward pass."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = torch.nn.BatchNorm2d(1)

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        return super().training_step((self.norm(batch[0]), batch[1]), batch_idx)

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        self.norm(batch[0])
        super().validation_step(batch, batch_idx)


def fit_on_a_rank(folder: Path, images: Path, use_distributed_sampler: bool) -> tuple[int, list[int], list[int]]:
    module = augmented_digits(images, batch_size=4)
    module.val_split = 0.25  # 9 images: one rank has 5 of them, a batch more than the 4 of the other would fill
    trainer = quiet_trainer(folder, devices=2, strategy="ddp", use_distributed_sampler=use_distributed_sampler)
    model = NormedModel()
    trainer.fit(model, datamodule=module)
    return len(model.seen), list(module._splits["val"].labels), model.validated


@pytest.mark.slow
@pytest.mark.parametrize("use_distributed_sampler", [True, False])
def test_two_processes_validate_each_image_once(
    tmp_path: Path, digit_files: Path, use_distributed_sampler: bool
) -> None:
    found = on_ranks(fit_on_a_rank, tmp_path, digit_files, use_distributed_sampler)
    batches, labels, validated = zip(*found, strict=True)

    assert sorted(validated[0] + validated[1]) == sorted(labels[0])
    assert batches[0] == batches[1]
