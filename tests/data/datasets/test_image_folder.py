from __future__ import annotations

import logging
import os
from itertools import chain
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from cuelight.config import Part
from cuelight.data.datasets.image_folder import ImageFolder
from cuelight.data.protocols import DescribesImages, NamesClasses
from cuelight.errors import DataError
from cuelight.evaluation.evaluate import evaluate
from cuelight.evaluation.evaluator import EvaluatorSettings
from cuelight.images.preprocessing import IMAGENET_MEAN
from cuelight.tasks.classification.model import ClassificationModel
from support.checks import data_problems
from support.trainers import quiet_trainer


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
    problems = "\n".join(map(str, data_problems({"name": "ImageFolder", "params": params})))

    for name in ("val_split", "on_error", "color", "sise"):
        assert f"data.params.{name}" in problems


def test_every_format_of_pillow_is_used_and_the_others_are_named(tmp_path: Path, write_digits, caplog) -> None:
    folder = write_digits(tmp_path / "digits")
    for number, suffix in enumerate((".gif", ".jp2", ".jfif", ".tga")):
        with Image.open(folder / "one" / f"{number:03}.png") as image:
            image.save(folder / "one" / f"{number:03}{suffix}")
    (folder / "two" / "labels.xml").write_text("")
    (folder / ".old").mkdir()
    data = _set_up(folder, test_split=0)

    assert sum(len(batch) for _, batch in chain(data.train_dataloader(), data.val_dataloader())) == 40
    assert caplog.messages == [
        f"{folder}: not used: 1 file of other formats (1 .xml); 1 folder that the layout does not know (.old)"
    ]


def test_a_link_to_above_labels_no_image_of_another_class(digit_files: Path, caplog) -> None:
    (digit_files / "one" / "loop").symlink_to("..")
    (digit_files / "two" / "more").symlink_to("../zero")
    data = _set_up(digit_files, test_split=0)

    for split in data._splits.values():
        assert all(
            Path(path).parts[-2] == data.class_names[label]
            for path, label in zip(split.paths, split.labels, strict=True)
        )
    assert sum(map(len, data._splits.values())) == 36
    assert "2 folders reached twice or in a circle (one/loop, two/more)" in caplog.text


def test_a_split_that_lacks_classes_is_named(tmp_path: Path, write_digits, caplog) -> None:
    write_digits(tmp_path / "train")
    write_digits(tmp_path / "val", classes=("one", "two"))
    write_digits(tmp_path / "test", classes=("zero",))
    data = _set_up(tmp_path)
    data.whole_dataloader("val")  # as the export does, which measures nothing
    assert caplog.messages == []
    data.trainer = quiet_trainer()
    caplog.clear()
    for _ in range(2):
        data.test_dataloader()
    assert caplog.messages == ["test: no image of 2 of 3 classes: one, two. Its metrics do not measure them."]
    data.val_dataloader()
    assert caplog.messages[1:] == ["val: no image of 1 of 3 classes: zero. Its metrics do not measure them."]


def test_a_test_names_only_the_split_that_it_measures(tmp_path: Path, write_digits, caplog) -> None:
    write_digits(tmp_path / "train")
    write_digits(tmp_path / "val", classes=("one", "two"))
    write_digits(tmp_path / "test", classes=("zero",))
    model = ClassificationModel("test_resnet", num_classes=3, input_size=(28, 28))
    evaluate(model, ImageFolder(tmp_path, 28, num_workers=0), "val", EvaluatorSettings("cpu"))
    lacking = [message for message in caplog.messages if "no image of" in message]
    assert lacking == ["val: no image of 1 of 3 classes: zero. Its metrics do not measure them."]


def test_a_class_too_small_to_split_is_named(digit_files: Path, caplog) -> None:
    for path in sorted((digit_files / "two").iterdir())[2:]:
        path.unlink()
    data = _set_up(digit_files)
    data.trainer = quiet_trainer()
    caplog.clear()
    data.train_dataloader(), data.val_dataloader(), data.test_dataloader()

    assert [message.split(":")[0] for message in caplog.messages] == ["val", "test"]
    assert all("1 of 3 classes: two" in message for message in caplog.messages)


def test_nothing_is_said_of_complete_data(digit_files: Path, caplog) -> None:
    _set_up(digit_files)
    assert caplog.messages == []


@pytest.fixture
def sensor_files(tmp_path: Path, write_digits) -> Path:
    """Digits as a sensor of 12 bits gives them, but one of them with 8 bits."""
    folder = write_digits(tmp_path / "sensor")
    for path in sorted(folder.rglob("*.png"))[1:]:
        with Image.open(path) as image:
            deep = np.asarray(image, np.uint16) * 16
        Image.fromarray(deep).save(path)
    return folder


@pytest.mark.parametrize("num_workers", [0, 2])
def test_a_sensor_of_12_bits_is_as_bright_as_8_bits(sensor_files: Path, tmp_path, write_digits, num_workers) -> None:
    plain = {"mean": [0.0], "std": [1.0], "color": "GRAY", "size": 28, "num_workers": num_workers}
    plain["transforms"] = [
        Part(name="RandomAffine", params={"degrees": 10}),
        Part(name="RandomPosterize", params={"bits": 7}),
    ]
    deep = _set_up(sensor_files, value_range=[0, 255 * 16], **plain)
    eight = _set_up(write_digits(tmp_path / "eight"), **plain)

    for one, other in (
        (deep.val_dataloader(), eight.val_dataloader()),
        (deep.train_dataloader(), eight.train_dataloader()),
    ):
        for (images, _), (expected, _) in zip(one, other, strict=True):
            torch.testing.assert_close(images, expected, rtol=0, atol=2 / 127)
    assert deep.preprocessing.value_range == (0, 4080)


def test_a_deep_image_without_value_range_stops_the_training(sensor_files: Path) -> None:
    with pytest.raises(
        DataError, match=r"\.png: the image .* mode I;16 .* data\.params\.value_range: \[black, white\]"
    ):
        list(_set_up(sensor_files).train_dataloader())


def test_transforms_that_cannot_be_used_with_a_value_range_are_found_before() -> None:
    transforms = [{"name": "JPEG", "params": {"quality": 50}}, {"name": "RandomSolarize", "params": {"threshold": 128}}]
    params = {"path": "nowhere", "value_range": [3, 3], "transforms": transforms}
    problems = "\n".join(map(str, data_problems({"name": "ImageFolder", "params": params})))

    assert "data.params.value_range: expected two different numbers" in problems
    assert "data.params.transforms.0.name: JPEG needs images of 8 bits" in problems
    assert "data.params.transforms.1.params.threshold: expected at most 1" in problems
    params = {"path": "nowhere", "transforms": transforms}
    assert data_problems({"name": "ImageFolder", "params": params}) == []


def test_the_fingerprint_is_that_of_earlier_versions(tmp_path: Path) -> None:
    for name in ("a/1.png", "a/2.jpg", "a/deep/3.bmp", "b/1.webp", "b/._1.png", "b/notes.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)

    expected = "sha256:e4c6a6d376d36a421e6372086d87b2f1198899ca9010ea2d49d40507c8aae8b9"
    assert _set_up(tmp_path, val_split=0.3, test_split=0).fingerprint() == expected


def test_a_class_whose_name_is_no_text_is_refused(digit_files: Path) -> None:
    (digit_files / "zero").rename(digit_files / os.fsdecode(b"zero\xff"))
    with pytest.raises(DataError, match="the name of this class is not text in UTF-8"):
        _ = ImageFolder(digit_files, size=24).class_names
