"""What is found in a dataset: counts, repeated images, what looks wrong, and pictures of samples."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cuelight.config import Part
from cuelight.data import (
    CocoDetection,
    DigitBoxes,
    DigitKeypoints,
    DigitLabels,
    Digits,
    DigitScenes,
    ImageFolder,
    MultiLabelFolder,
)
from cuelight.data.base.packaged import load_photographs
from cuelight.errors import ConfigError, DataError
from cuelight.inspection.inspecting import inspect_data, write_inspection
from cuelight.inspection.sheets import draw_sheets
from cuelight.report.inspected import read_inspection, write_inspection_page
from support.tiny import TinyData

SIDE = 96
COUNTS = {"train": {"cat": 30, "dog": 12}, "val": {"cat": 4, "dog": 4}, "test": {"cat": 5, "dog": 5}}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Cut-outs of photographs that do not overlap, so that no two look the same."""
    photographs = load_photographs(["astronaut", "coffee", "chelsea", "rocket", "retina", "motorcycle"], 4 * SIDE)
    cuts = (
        photograph[top : top + SIDE, left : left + SIDE]
        for photograph in photographs
        for top in range(0, photograph.shape[0] - SIDE + 1, SIDE)
        for left in range(0, photograph.shape[1] - SIDE + 1, SIDE)
    )
    distinct = (cut for cut in cuts if cut.std() > 20)
    for split, classes in COUNTS.items():
        for name, count in classes.items():
            place = tmp_path / "images" / split / name
            place.mkdir(parents=True)
            for number in range(count):
                Image.fromarray(next(distinct)).save(place / f"{number}.png")
    return tmp_path / "images"


def _found(folder: Path, **options: object):
    return inspect_data(ImageFolder(folder, size=64, num_workers=0, **options))[0]


def test_counts_of_a_folder_in_which_nothing_is_wrong(folder) -> None:
    found = _found(folder)
    assert found.findings == []
    assert found.tables["classes"] == [
        {"class": name, **{split: of_split[name] for split, of_split in COUNTS.items()}} for name in ("cat", "dog")
    ]
    assert [row["images"] for row in found.tables["splits"]] == [42, 8, 10]
    assert found.tables["modes"] == [{"mode when decoded": "RGB", "images": 60}]
    assert found.tables["sizes"][0] == {"of": "image width", **dict.fromkeys(
        ("smallest", "5 %", "median", "95 %", "largest"), 96.0)}  # fmt: skip
    assert "repeated" not in found.tables


def test_images_of_the_test_that_are_in_training_too(folder) -> None:
    shutil.copy(folder / "train/cat/0.png", folder / "test/cat/copy.png")
    with Image.open(folder / "train/dog/3.png") as image:
        image.resize((70, 70)).save(folder / "test/dog/again.jpg", quality=80)
    found = _found(folder)
    [finding] = found.findings
    assert finding.startswith("2 of 12 images of test (16.7%) are in train too (1 the same file, 1 nearly the same)")
    assert [(row["splits"], row["same"], row["labels"]) for row in found.tables["duplicates"]] == [
        ("train and test", "file", "the same"),
        ("train and test", "nearly", "the same"),
    ]
    assert found.tables["splits"][2] == {
        "split": "test", "images": 12, "unreadable": 0, "duplicates of train": 1, "near duplicates of train": 1,
    }  # fmt: skip


def test_images_of_the_test_that_are_in_the_validation_too(folder) -> None:
    shutil.copy(folder / "val/cat/1.png", folder / "test/cat/copy.png")
    [finding] = _found(folder).findings
    assert finding.startswith("1 of 11 images of test (9.1%) are in val too (1 the same file, 0 nearly the same)")


def test_many_copies_count_once_each(folder) -> None:
    for number in range(9):
        shutil.copy(folder / "train/cat/0.png", folder / f"train/cat/copy{number}.png")
    found = _found(folder)
    assert "9 images of train are the same as another one of train." in found.findings
    assert len(found.tables["duplicates"]) == 9


def test_empty_images_of_different_grey_are_no_duplicates(folder) -> None:
    for split, value in (("train", 0), ("test", 255)):
        Image.new("RGB", (SIDE, SIDE), (value, value, value)).save(folder / split / "cat/empty.png")
    assert _found(folder).findings == []


def test_what_a_training_stops_at_and_all_that_is_skipped(tmp_path) -> None:
    for number, photograph in enumerate(load_photographs(["astronaut", "coffee", "chelsea"], SIDE)):
        Image.fromarray(photograph).save(tmp_path / f"{number}.png")
    content = {
        "images": [{"id": number, "file_name": f"{number}.png"} for number in range(3)],
        "annotations": [
            {"id": number, "image_id": number, "category_id": 1, "bbox": [1, 1, "a" if number else 40, 20]}
            for number in range(3)
        ],
        "categories": [{"id": 1, "name": "cup"}],
    }
    (tmp_path / "train.json").write_text(json.dumps(content))
    found, _ = inspect_data(CocoDetection(tmp_path, size=SIDE, num_workers=0))
    assert found.findings[0].startswith("A training stops: ")
    assert "annotation 1: the coordinates of its box" in found.findings[0]
    assert any("skipped 2 images or objects with wrong annotations" in note for note in found.notes)


def test_weights_of_classes_are_wrong_before_an_image_is_read(folder) -> None:
    read = []
    with pytest.raises(ConfigError, match="cta"):
        inspect_data(
            ImageFolder(folder, size=64, num_workers=0, sampling={"cta": 2.0, "dog": 1.0}),
            lambda found, count: read.append(count) or found,
        )
    assert not read


def test_equal_images_of_different_classes(folder) -> None:
    shutil.copy(folder / "train/cat/0.png", folder / "train/dog/same.png")
    within, conflict = _found(folder).findings
    assert conflict.startswith("1 image is the same as one with other labels: ")
    assert "train/dog/same.png and " in conflict
    assert within == "1 image of train is the same as another one of train."


def test_images_that_cannot_be_read_and_files_that_are_not_used(folder) -> None:
    (folder / "train/cat/broken.png").write_bytes(b"no image")
    (folder / "train/cat/notes.txt").touch()
    found = _found(folder, on_error="skip")
    [row] = found.tables["unreadable"]
    assert row["file"].endswith("train/cat/broken.png")
    assert found.tables["splits"][0]["unreadable"] == 1
    assert found.findings == ["1 image of train cannot be read: left out."]
    assert _found(folder).findings == ["1 image of train cannot be read: a training stops there."]
    assert found.notes == [f"{folder}: not used: 1 file of other formats (1 .txt)"]


@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_a_split_of_which_no_image_can_be_read(folder, split) -> None:
    files = list((folder / split).rglob("*.png"))
    for file in files:
        file.write_bytes(b"version https://git-lfs.github.com/spec/v1")
    assert f"{len(files)} images of {split} cannot be read: a training stops there." in _found(folder).findings


def test_classes_that_are_hardly_there(folder) -> None:
    for number in range(1, 12):
        (folder / f"train/dog/{number}.png").unlink()
    shutil.rmtree(folder / "val/dog")
    shutil.rmtree(folder / "test/dog")
    assert _found(folder).findings == [
        "dog is only in train.",
        "97% of the training images are of cat.",
        "dog has fewer than 10 training images.",
    ]


def test_rare_classes_of_small_data(folder) -> None:
    for file in (*(folder / "train/cat").glob("?.png"), *(folder / "train/cat").glob("1?.png")):
        file.unlink()
    for number in range(3, 12):
        (folder / f"train/dog/{number}.png").unlink()
    assert _found(folder).findings == ["dog has fewer than 10 training images."]


def test_boxes_have_sizes_and_counts() -> None:
    data = DigitBoxes(size=64, train_scenes=6, val_scenes=3, test_scenes=2)
    found, _ = inspect_data(data)
    boxes = [data.images_of("train")[index][1] for index in range(6)]
    row = found.tables["splits"][0]
    assert (row["images"], row["objects"]) == (6, sum(len(one["labels"]) for one in boxes))
    assert {row["of"] for row in found.tables["sizes"]} >= {"box width (model input)", "objects in an image"}
    assert sum(row["train"] for row in found.tables["classes"]) == found.tables["splits"][0]["objects"]


def test_small_and_repeated_boxes(tmp_path) -> None:
    boxes = [[10, 10, 30, 30], [10, 10, 30, 30], [10.2, 10, 30, 30], [50, 50, 2, 20]]
    photograph = Image.fromarray(load_photographs(["coffee"], SIDE)[0]).crop((0, 0, SIDE, SIDE))
    content: dict[str, list] = {"images": [], "annotations": [], "categories": [{"id": 1, "name": "cup"}]}
    for number in range(8):
        photograph.rotate(45 * number).save(tmp_path / f"{number}.png")
        content["images"].append({"id": number, "file_name": f"{number}.png"})
        content["annotations"] += [
            {"id": 10 * number + place, "image_id": number, "category_id": 1, "bbox": box}
            for place, box in enumerate(boxes)
        ]
    (tmp_path / "train.json").write_text(json.dumps(content))
    found, _ = inspect_data(CocoDetection(tmp_path, size=SIDE, num_workers=0))
    assert "8 of 32 boxes are narrower or lower than 4 pixels at the size that the model sees." in found.findings
    [twins] = (finding for finding in found.findings if "twice" in finding)
    assert twins.startswith("8 images have the same object twice: ")


def test_regions_to_ignore_are_no_objects(tmp_path) -> None:
    Image.fromarray(load_photographs(["coffee"], SIDE)[0]).save(tmp_path / "0.png")
    annotations = [
        {"id": number, "image_id": 0, "category_id": 1, "bbox": [10, 10, 2 + 30 * (not crowd), 30], "iscrowd": crowd}
        for number, crowd in enumerate((0, 1))
    ]
    images, categories = [{"id": 0, "file_name": "0.png"}], [{"id": 1, "name": "cup"}]
    content = {"images": images, "annotations": annotations, "categories": categories}
    (tmp_path / "train.json").write_text(json.dumps(content))
    (tmp_path / "val.json").write_text(json.dumps(content))
    found, _ = inspect_data(CocoDetection(tmp_path, size=SIDE, num_workers=0))
    assert found.tables["splits"][0]["objects"] == 1
    [row] = [row for row in found.tables["sizes"] if row["of"] == "objects in an image"]
    assert row["largest"] == 1
    assert not [finding for finding in found.findings if "narrower" in finding]


def test_equal_images_with_as_many_other_labels(tmp_path) -> None:
    for number, photograph in enumerate(load_photographs(["astronaut", "coffee", "chelsea", "rocket"], SIDE)):
        Image.fromarray(photograph).save(tmp_path / f"{number}.png")
    shutil.copy(tmp_path / "0.png", tmp_path / "copy.png")
    lines = ["path,split,cat,dog", "0.png,train,1,0", "copy.png,train,0,1", "1.png,train,1,1"]
    (tmp_path / "labels.csv").write_text("\n".join([*lines, "2.png,val,1,0", "3.png,test,0,1"]))
    found, _ = inspect_data(MultiLabelFolder(tmp_path, size=64, num_workers=0))
    assert any(finding.startswith("1 image is the same as one with other labels") for finding in found.findings)


@pytest.mark.parametrize(
    "data",
    [
        Digits(transforms=[Part(name="RandomRotation", params={"degrees": 20})]),
        Digits(mixup_alpha=0.4),
        DigitLabels(size=64, train_scenes=14, val_scenes=2, test_scenes=2),
        DigitScenes(train_scenes=14, val_scenes=2, test_scenes=2),
        DigitBoxes(size=64, train_scenes=14, val_scenes=2, test_scenes=2, mosaic=1.0),
        DigitKeypoints(size=64, train_scenes=14, val_scenes=2, test_scenes=2),
    ],
    ids=lambda data: type(data).__name__,
)
def test_samples_of_every_task_are_drawn_with_their_targets(data) -> None:
    data.setup()
    sheets = draw_sheets(data)
    assert ("samples_augmented" in sheets) == bool(data.transforms or data.mixing)
    for sheet in sheets.values():
        assert min(sheet.size) > 150
        assert np.asarray(sheet).std() > 20
    assert draw_sheets(data)["samples"].tobytes() == sheets["samples"].tobytes()


def test_a_page_shows_what_was_found(folder, tmp_path) -> None:
    found, pictures = inspect_data(ImageFolder(folder, size=64, num_workers=0))
    write_inspection(found, pictures, tmp_path / "out")
    text = write_inspection_page("pets", found, tmp_path / "out").read_text()
    assert "Nothing looks wrong" in text
    assert text.count("<img") == 1
    assert [title for title, _, _ in read_inspection(tmp_path / "out").titled_tables()][1] == "Classes"


def test_samples_of_another_file_do_not_stay(folder, tmp_path) -> None:
    for options in ({"mixup_alpha": 0.4}, {}):
        found, pictures = inspect_data(ImageFolder(folder, size=64, num_workers=0, **options))
        write_inspection(found, pictures, tmp_path / "out")
        assert (tmp_path / "out/samples_augmented.png").exists() == bool(options)


def test_data_of_another_kind_is_refused() -> None:
    with pytest.raises(DataError, match="TinyData cannot be inspected"):
        inspect_data(TinyData())


def test_paths_that_are_only_names() -> None:
    data = Digits()
    data.setup("fit")
    for split in data.split_names:
        data.images_of(split).paths = [f"table/{split}/{number}.png" for number in range(len(data.images_of(split)))]
    found, _ = inspect_data(data)
    assert found.tables["splits"][0]["images"] == 3500
