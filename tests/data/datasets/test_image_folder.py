from __future__ import annotations

import logging
from itertools import chain
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from cuelight import registry
from cuelight.config import Part
from cuelight.data.datasets.image_folder import ImageFolder
from cuelight.data.protocols import DescribesImages, NamesClasses
from cuelight.errors import DataError
from cuelight.images.preprocessing import IMAGENET_MEAN


def _set_up(path: Path, **params) -> ImageFolder:
    data = ImageFolder(path, **{"size": 24, "batch_size": 4, "num_workers": 0, **params})
    data.setup()
    return data


def _labels(loader) -> list[int]:
    return sorted(label for _, labels in loader for label in labels.tolist())


def test_one_folder_is_split_by_class(digit_files: Path) -> None:
    data = _set_up(digit_files, val_split=0.25, test_split=0.25)

    assert data.class_names == ["one", "two", "zero"]
    assert _labels(data.train_dataloader()) == [0] * 6 + [1] * 6 + [2] * 6
    assert _labels(data.val_dataloader()) == _labels(data.test_dataloader()) == [0] * 3 + [1] * 3 + [2] * 3
    paths = [set(files.paths) for files in data._splits.values()]
    assert len(set().union(*paths)) == sum(map(len, paths)) == 36


def test_split_folders_are_used_as_they_are(tmp_path: Path, write_digits) -> None:
    for number, split in enumerate(("train", "val", "test")):
        write_digits(tmp_path / split, per_class=4 + number)
    data = _set_up(tmp_path)

    lengths = [
        len(loader.dataset) for loader in (data.train_dataloader(), data.val_dataloader(), data.test_dataloader())
    ]
    assert lengths == [12, 15, 18]


def test_a_missing_test_folder_is_split_off_the_training_images(tmp_path: Path, write_digits) -> None:
    write_digits(tmp_path / "train", per_class=10)
    write_digits(tmp_path / "val", per_class=3)
    data = _set_up(tmp_path, test_split=0.2)

    assert {split: len(files) for split, files in data._splits.items()} == {"train": 24, "val": 9, "test": 6}


def test_the_listing_is_the_same_for_any_order_of_the_file_system(tmp_path: Path, write_digits, monkeypatch) -> None:
    write_digits(tmp_path / "digits")
    first = _set_up(tmp_path / "digits")._splits["val"].paths
    import os

    walk = os.walk
    monkeypatch.setattr(os, "walk", lambda *a, **k: ((p, d, n[::-1]) for p, d, n in walk(*a, **k)))

    assert _set_up(tmp_path / "digits")._splits["val"].paths == first


def test_batches_have_the_size_and_channels_that_the_preprocessing_says(digit_files: Path) -> None:
    for params, shape in (
        ({}, (4, 3, 24, 24)),
        ({"size": (16, 30), "color": "BGR", "resize": "letterbox"}, (4, 3, 16, 30)),
        ({"color": "GRAY"}, (4, 1, 24, 24)),
    ):
        data = _set_up(digit_files, **params)
        images, labels = next(iter(data.train_dataloader()))
        assert images.shape == shape
        assert (images.dtype, labels.dtype) == (torch.float32, torch.int64)
        assert (data.preprocessing.channels, data.preprocessing.size) == (shape[1], shape[2:])
    assert isinstance(data, NamesClasses)
    assert isinstance(data, DescribesImages)


def test_the_mean_of_imagenet_follows_the_color_order() -> None:
    assert ImageFolder("x").preprocessing.mean == IMAGENET_MEAN
    assert ImageFolder("x", color="BGR").preprocessing.mean == IMAGENET_MEAN[::-1]
    assert ImageFolder("x", mean=[0.1, 0.2, 0.3]).preprocessing.mean == (0.1, 0.2, 0.3)


def test_a_crop_sees_the_whole_photo(tmp_path: Path) -> None:
    halves = np.zeros((60, 120, 3), dtype=np.uint8)
    halves[:, 100:] = 255  # white only where a square crop of the middle does not reach
    for name in ("a", "b", "c"):
        (tmp_path / "photos").mkdir(exist_ok=True)
        Image.fromarray(halves).save(tmp_path / "photos" / f"{name}.png")
    right_corner = [Part(name="RandomResizedCrop", params={"size": 24, "scale": [0.05, 0.06]})]
    data = _set_up(tmp_path, transforms=right_corner, mean=[0.0], std=[1.0], seed=0, batch_size=1)
    loader = data.train_dataloader()
    brightest = 0.0
    for epoch in range(40):
        loader.sampler.set_epoch(epoch)
        brightest = max(brightest, *(float(images.max()) for images, _ in loader))

    assert brightest > 0.99


@pytest.mark.parametrize("num_workers", [0, 2])
def test_a_corrupt_image_is_named_or_skipped(digit_files: Path, num_workers: int, caplog) -> None:
    corrupt = sorted((digit_files / "two").iterdir())[3]
    corrupt.write_bytes(b"\x89PNG\r\n\x1a\n")
    strict = _set_up(digit_files, num_workers=num_workers)
    with pytest.raises(DataError, match=r"two/003\.png: the image cannot be read"):
        list(chain(strict.train_dataloader(), strict.val_dataloader(), strict.test_dataloader()))

    lenient = _set_up(digit_files, num_workers=num_workers, on_error="skip")
    with caplog.at_level(logging.WARNING):
        for loader in (lenient.train_dataloader(), lenient.val_dataloader(), lenient.test_dataloader()):
            list(loader)
    assert "skipped 1 of" in caplog.text
    assert str(corrupt) in caplog.text


def test_an_unfinished_pass_reports_when_the_run_ends(digit_files: Path, caplog) -> None:
    for path in (digit_files / "two").iterdir():
        path.write_bytes(b"")
    data = _set_up(digit_files, on_error="skip")
    batches = iter(data.train_dataloader())
    for _ in range(3):
        next(batches)
    assert not caplog.records

    data.teardown("fit")
    assert "train: skipped" in caplog.text


def test_an_empty_class_is_named_or_left_out(digit_files: Path) -> None:
    (digit_files / "seven").mkdir()
    with pytest.raises(DataError, match="no images in the class seven"):
        _set_up(digit_files)

    assert _set_up(digit_files, on_error="skip").class_names == ["one", "two", "zero"]


def test_a_class_that_only_the_test_split_has_is_named_or_left_out(tmp_path: Path, write_digits) -> None:
    write_digits(tmp_path / "train")
    write_digits(tmp_path / "test", classes=("one", "two", "zero", "ten"))
    with pytest.raises(DataError, match=r"test: no training images for the class ten"):
        _set_up(tmp_path)

    data = _set_up(tmp_path, on_error="skip")
    assert set(_labels(data.test_dataloader())) == {0, 1, 2}


def test_no_test_split_is_said_when_it_is_asked_for(digit_files: Path) -> None:
    data = _set_up(digit_files, test_split=0)
    with pytest.raises(DataError, match=r"there are no images for test\. Add a folder test"):
        data.test_dataloader()


def test_shares_that_leave_nothing_are_refused(digit_files: Path) -> None:
    with pytest.raises(DataError, match="val_split and test_split leave no images for training"):
        _set_up(digit_files, val_split=0.6, test_split=0.5)


def test_wrong_params_are_found_before_the_folder_is_looked_at() -> None:
    params = {"path": "nowhere", "val_split": 1.5, "on_error": "ignore", "color": "rgb", "sise": 3}
    problems = "\n".join(map(str, registry.data.problems({"name": "ImageFolder", "params": params}, "data")))

    for name in ("val_split", "on_error", "color", "sise"):
        assert f"data.params.{name}" in problems
