"""Groups and folds of the data modules that read files."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from cuelight.data.base.image_files import ImageFiles
from cuelight.data.datasets.image_folder import ImageFolder
from cuelight.data.datasets.mask_folder import MaskFolder
from cuelight.data.datasets.yolo import YoloDetection
from cuelight.errors import ConfigError, DataError
from support.box_files import write_yolo

SMALL = {"size": 24, "batch_size": 4, "num_workers": 0}


def _names(data: Any) -> dict[str, set[str]]:
    data.setup()
    return {split: {Path(path).name for path in files.paths} for split, files in data._splits.items()}


@pytest.fixture
def people(digit_files: Path) -> Path:
    """Six persons, each with two images of each class."""
    for path in sorted(digit_files.rglob("*.png")):
        path.rename(path.with_name(f"person{int(path.stem) // 2}_{path.name}"))
    return digit_files


@pytest.fixture
def masks(tmp_path: Path, write_masks) -> Path:
    for video in "abcdef":
        write_masks(tmp_path / "data" / "images" / f"video_{video}", tmp_path / "data" / "masks" / f"video_{video}", 3)
    return tmp_path / "data"


def _persons(names: set[str]) -> set[str]:
    return {name.partition("_")[0] for name in names}


class Nothing(ImageFolder):
    """A folder in which every image was left out."""

    def list_files(self) -> dict[str, ImageFiles]:
        return {"train": ImageFiles([], [])}


@pytest.mark.parametrize("params", [{}, {"group_by": "(person[0-9])"}, {"folds": 3}])
def test_a_training_split_without_images_is_named(people: Path, params: dict[str, Any]) -> None:
    with pytest.raises(DataError, match=r"there are no images for training\. Add images with labels"):
        Nothing(people, **params, **SMALL).setup()


def test_images_of_one_person_are_in_one_split(people: Path, caplog) -> None:
    data = ImageFolder(people, group_by=r"person(\d+)_", val_split=0.3, test_split=0.2, **SMALL)
    names = _names(data)

    assert {split: len(_persons(found)) for split, found in names.items()} == {"train": 3, "val": 2, "test": 1}
    assert sum(len(_persons(found)) for found in names.values()) == 6
    assert data.taken_from_training == ["val", "test"]
    assert caplog.messages == []


def test_images_of_one_video_are_in_one_split_with_their_masks(masks: Path) -> None:
    data = MaskFolder(masks, class_names=["dark", "medium", "bright"], group_by="^images/video_([a-z]+)/", **SMALL)
    data.setup()
    videos = {split: {Path(path).parent.name for path in files.paths} for split, files in data._splits.items()}

    assert {split: len(found) for split, found in videos.items()} == {"train": 4, "val": 1, "test": 1}
    assert len(set().union(*videos.values())) == 6


def test_paths_are_relative_to_the_folder_of_a_file_that_lists_them(tmp_path: Path) -> None:
    root = write_yolo(tmp_path / "yolo")
    (root / "data.yaml").write_text("train: [images/train, images/val]\nnames: [a, b, c, d]")
    names = _names(YoloDetection(root / "data.yaml", group_by=r"^images/\w+/00([0-9])", **SMALL))

    assert {split: len(found) for split, found in names.items()} == {"train": 7, "val": 1, "test": 1}


def test_an_image_without_a_group_is_named(people: Path) -> None:
    with pytest.raises(DataError, match=r"group_by: person\(\[1-9\]\) finds no group in the path of 6 of 36 images: "
                       r"one/person0_000\.png, .* and 3 more\. Correct the expression"):  # fmt: skip
        ImageFolder(people, group_by="person([1-9])", **SMALL).setup()


def test_a_group_in_two_splits_that_exist_is_a_warning(people: Path, tmp_path: Path, caplog) -> None:
    shutil.copytree(people, tmp_path / "split" / "train")
    shutil.copytree(people, tmp_path / "split" / "val", ignore=shutil.ignore_patterns("person[0-3]*"))
    ImageFolder(tmp_path / "split", group_by="(person[0-9])", test_split=0, **SMALL).setup()

    (message,) = caplog.messages
    assert message.startswith("2 of 6 groups are in more than one split, so results are too good: person4 (train, val)")


def _folds(folder: Path, folds: int, **params: Any) -> list[dict[str, set[str]]]:
    def names(data: ImageFolder) -> dict[str, set[str]]:
        data.setup()
        return {split: set(files.paths) for split, files in data._splits.items()}

    return [names(ImageFolder(folder, folds=folds, fold=fold, **SMALL, **params)) for fold in range(folds)]


def test_the_folds_of_a_folder_are_disjoint_and_the_test_is_the_same(digit_files: Path) -> None:
    made = _folds(digit_files, 3, test_split=0.25)
    everything = {str(path) for path in digit_files.rglob("*.png")}

    assert [sorted(parts["test"]) for parts in made] == [sorted(made[0]["test"])] * 3
    assert [len(parts["val"]) for parts in made] == [9, 9, 9]
    assert set().union(*(parts["val"] for parts in made)) == everything - made[0]["test"]
    for parts in made:
        assert parts["train"] == everything - made[0]["test"] - parts["val"]
    assert _folds(digit_files, 3, test_split=0.25, split_seed=1) != made


def test_a_test_that_exists_is_the_test_of_each_fold(tmp_path: Path, write_digits) -> None:
    write_digits(tmp_path / "train")
    write_digits(tmp_path / "test", per_class=4, first=12)

    for parts in _folds(tmp_path, 4):
        assert {split: len(paths) for split, paths in parts.items()} == {"train": 27, "val": 9, "test": 12}


def test_folds_keep_groups_together(people: Path) -> None:
    made = _folds(people, 3, group_by="(person[0-9])", test_split=0)

    validated = [_persons({Path(path).name for path in parts["val"]}) for parts in made]
    assert sorted(name for names in validated for name in names) == [f"person{number}" for number in range(6)]


def test_folds_exclude_a_validation_split_that_exists(tmp_path: Path, write_digits) -> None:
    write_digits(tmp_path / "train")
    write_digits(tmp_path / "val")
    with pytest.raises(DataError, match=r"there is a validation split already\. Remove folds, or move these images"):
        ImageFolder(tmp_path, folds=3, **SMALL).setup()


def test_wrong_folds_are_refused_in_python_too(digit_files: Path) -> None:
    with pytest.raises(ConfigError, match=r"data\.params\.fold: expected 0 to 2, got 3"):
        ImageFolder(digit_files, folds=3, fold=3, **SMALL).setup()
