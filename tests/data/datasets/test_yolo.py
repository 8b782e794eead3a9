from __future__ import annotations

import logging
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from cuelight.data.datasets.yolo import YoloDetection
from cuelight.errors import DataError
from support.box_files import NAMES, write_yolo
from support.box_scenes import overlapping_scene


def _set_up(path: Path, **params: Any) -> YoloDetection:
    data = YoloDetection(path, **{"size": (96, 128), "batch_size": 4, "num_workers": 0, **params})
    data.setup()
    return data


def _names(data: YoloDetection) -> dict[str, list[str]]:
    return {split: [Path(path).stem for path in files.paths] for split, files in data._splits.items()}


def _settings(root: Path, text: str) -> None:
    (root / "data.yaml").write_text(text)


ALL = {"train": ["000", "001", "002", "003", "004", "005"], "val": ["006", "007", "008"], "test": ["009", "010"]}


@pytest.fixture
def yolo(tmp_path: Path) -> Path:
    return write_yolo(tmp_path / "yolo")


def test_images_and_boxes_are_loaded_together(yolo: Path) -> None:
    data = _set_up(yolo)

    assert data.class_names == list(NAMES)
    assert _names(data) == ALL
    for index, seed in enumerate((9, 10)):
        expected, target = overlapping_scene(seed)[1], data._splits["test"][index][1]
        assert torch.allclose(torch.Tensor(target["boxes"]), torch.Tensor(expected["boxes"]), atol=1e-3)
        assert torch.equal(target["labels"], expected["labels"])


NAMED = "names: {0: red, 1: green, 2: blue, 3: yellow}"
ENTRIES = {
    "file": f"train: images/train\nval: images/val\ntest: images/test\n{NAMED}",
    "roboflow": f"train: ../images/train\nval: ../images/val\ntest: ../images/test\nnc: 4\n{NAMED}",
    "roboflow api": f"train: yolo/images/train\nval: yolo/images/val\ntest: ../images/test\nnc: 4\n{NAMED}",
    "valid": f"train: images/train\nvalid: images/val\ntest: images/test\n{NAMED}",
    "lists": f"path: .\ntrain: [images/train]\nval: ['images/val']\ntest: images/test\n{NAMED}",
    "elsewhere": f"path: ../datasets/yolo\ntrain: images/train\nval: images/val\ntest: images/test\n{NAMED}",
    "texts as keys": "train: images/train\nval: images/val\ntest: images/test\nnames: {'0': a, '1': b, '2': c, '3': d}",
}


@pytest.mark.parametrize("name", ENTRIES)
def test_entries_are_folders_in_many_ways(yolo: Path, name: str) -> None:
    _settings(yolo, ENTRIES[name])
    data = _set_up(yolo / "data.yaml")

    assert _names(data) == ALL
    assert len(data.class_names) == 4


@pytest.mark.parametrize("prefix", ["", "./", "data/"])
def test_a_text_file_lists_images(yolo: Path, prefix: str) -> None:
    for split, names in ALL.items():
        lines = [f"{prefix}images/{split}/{name}.png\r\n" for name in names]
        (yolo / f"{split}.txt").write_text("\ufeff" + "".join(lines), encoding="utf-8")
    _settings(yolo, f"train: train.txt\nval: [val.txt]\ntest: test.txt\n{NAMED}")

    assert _names(_set_up(yolo)) == ALL


def test_labels_may_be_beside_their_images(yolo: Path) -> None:
    for file in (yolo / "labels").rglob("*.txt"):
        shutil.move(file, yolo / "images" / file.relative_to(yolo / "labels"))
    (yolo / "images").rename(yolo / "obj_train_data")
    _settings(yolo, f"train: obj_train_data/train\n{NAMED}")

    assert sum(map(len, _names(_set_up(yolo)).values())) == 6


@pytest.mark.parametrize("prefix", ["", "data/"])
def test_a_file_of_darknet_is_read(yolo: Path, prefix: str, caplog: Any) -> None:
    """As the export "YOLO 1.1" of CVAT."""
    (yolo / "data.yaml").unlink()
    for split, name in (("train", "train"), ("val", "valid")):
        folder = yolo / f"obj_{name}_data"
        (yolo / "images" / split).rename(folder)
        for file in (yolo / "labels" / split).iterdir():
            shutil.move(file, folder)
        lines = [f"{prefix}obj_{name}_data/{stem}.png" for stem in ALL[split]]
        (yolo / f"{name}.txt").write_text("\n".join(lines))
    shutil.rmtree(yolo / "images"), shutil.rmtree(yolo / "labels")
    (yolo / "obj.names").write_text("\n".join(NAMES))
    settings = f"classes = 4\nnames = {prefix}obj.names\ntrain = {prefix}train.txt\nvalid = {prefix}valid.txt\n"
    (yolo / "obj.data").write_text(f"{settings}backup = backup/\n")
    data = _set_up(yolo, test_split=0)

    assert data.class_names == list(NAMES)
    assert _names(data) == {split: ALL[split] for split in ("train", "val")}
    assert torch.equal(data._splits["val"][0][1]["labels"], overlapping_scene(6)[1]["labels"])
    assert caplog.messages == []
    (yolo / "obj.data").write_text(settings.replace("4", "5"))
    with pytest.raises(DataError, match=r"obj\.data: nc is 5, but there are 4 names"):
        _set_up(yolo)


def test_roboflow_names_splits_that_it_does_not_export(yolo: Path, caplog: Any) -> None:
    shutil.rmtree(yolo / "images" / "test")
    entries = f"train: ../images/train\nval: ../images/val\ntest: ../test/images\nnc: 4\n{NAMED}\n"
    _settings(yolo, entries)
    with pytest.raises(DataError, match=r"test: there is no .*test/images\. Correct the entry"):
        _set_up(yolo)

    _settings(yolo, f"{entries}roboflow: {{workspace: colors, version: 1}}\n")
    assert set(_names(_set_up(yolo, test_split=0))) == {"train", "val"}
    assert caplog.messages[0].endswith("data.yaml: test is missing; Roboflow names a split also if it exports none.")


def test_a_missing_split_is_taken_from_training(yolo: Path) -> None:
    _settings(yolo, f"train: [images/train, images/val, images/test]\n{NAMED}")
    data = _set_up(yolo, val_split=0.2, test_split=0.2)

    assert data.taken_from_training == ["val", "test"]
    assert sum(map(len, data._splits.values())) == 11


def test_polygons_are_read_as_boxes(yolo: Path) -> None:
    (yolo / "labels" / "train" / "000.txt").write_text("1 0.5 0.25 0.75 0.5 0.25 0.75\n2.0 0.5 0.5 0.25 0.5\n")
    target = _set_up(yolo)._splits["train"][0][1]

    assert target["boxes"].tolist() == [[32, 24, 96, 72], [48, 24, 80, 72]]
    assert target["labels"].tolist() == [1, 2]


def test_an_empty_label_file_is_an_image_without_objects(yolo: Path) -> None:
    (yolo / "labels" / "train" / "000.txt").write_text(" \n")

    assert _set_up(yolo)._splits["train"][0][1]["boxes"].shape == (0, 4)
    assert _names(_set_up(yolo, keep_empty=False))["train"] == ALL["train"][1:]


def test_images_without_label_file_are_counted(yolo: Path, caplog: Any) -> None:
    for name in ("000", "003"):
        (yolo / "labels" / "train" / f"{name}.txt").unlink()
    with caplog.at_level(logging.WARNING):
        data = _set_up(yolo)

    assert len(data._splits["train"]) == 6
    assert "2 of 6 images have no label file, such as" in caplog.text
    shutil.rmtree(yolo / "labels" / "val")
    with pytest.raises(DataError, match=r"3 of 3 images have no label file, such as .*labels/val/006\.txt"):
        _set_up(yolo)


WRONG = {
    "words": ("red 0.5 0.5 0.1 0.1", "line 1: expected numbers, got 'red"),
    "unknown class": ("4 0.5 0.5 0.1 0.1", "line 1: there is no class 4; expected 0 to 3"),
    "half a class": ("1.5 0.5 0.5 0.1 0.1", "line 1: there is no class 1.5"),
    "negative class": ("-1 0.5 0.5 0.1 0.1", "line 1: there is no class -1"),
    "too few": ("1 0.5 0.5 0.1", "line 1: expected a class with a box of 4 numbers or a polygon, got 4 numbers"),
    "too many": ("1 0.5 0.5 0.1 0.1 0.9", "line 1: expected a class with a box of 4 numbers or a polygon, got 6"),
    "pixels": ("1 64 40 20 20", "line 1: its box, .*, is outside of the image; expected shares"),
    "negative size": ("1 0.5 0.5 -0.1 0.1", "line 1: its box has no size"),
    "NaN": ("1 0.5 nan 0.1 0.1", "line 1: the coordinates of its box are not all finite"),
    "polygon with NaN": ("1 0.5 0.5 nan 0.1 0.1 0.1", "line 1: the coordinates of its box are not all finite"),
    "infinity": ("1 0.5 0.5 inf 0.1", "line 1: the coordinates of its box are not all finite"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_line_is_named_or_skipped_and_counted(yolo: Path, name: str, caplog: Any) -> None:
    line, message = WRONG[name]
    (yolo / "labels" / "val" / "007.txt").write_text(f"{line}\n0 0.5 0.5 0.1 0.1")
    with pytest.raises(DataError, match=rf"labels/val/007\.txt: {message}.*on_error: skip"):
        _set_up(yolo)

    with caplog.at_level(logging.WARNING):
        data = _set_up(yolo, on_error="skip")
    assert "skipped 1 images or objects with wrong annotations" in caplog.text
    assert data._splits["val"][1][1]["labels"].tolist() == [0]


BROKEN = {
    "not YAML": ("train: [", "this is not YAML"),
    "nested": ("train: " + "[" * 1500, "this is not YAML: it is nested too deeply"),
    "list": ("- a", "expected a mapping of keys"),
    "no train": (f"val: images/val\n{NAMED}", "there are no images for train"),
    "number": (f"train: 3\n{NAMED}", "train: expected folders or text files, got 3"),
    "no folder": (f"train: images/training\n{NAMED}", "train: there is no .*images/training"),
    "no names": ("train: images/train", "names: expected a list of class names"),
    "names of text": ("train: images/train\nnames: red", "names: expected a list of class names"),
    "names by name": ("train: images/train\nnames: {red: 0}", "names: expected a list of class names"),
    "names by no digit": ("train: images/train\nnames: {²: red}", "names: expected a list of class names"),
    "two of a number": (
        "train: images/train\nnames: {1: red, '1': blue}",
        "names: expected a different number for each class, got 1, '1'",
    ),
    "another count": (f"train: images/train\nnc: 5\n{NAMED}", "nc is 5, but there are 4 names"),
    "empty": ("", "expected a mapping of keys"),
    "val twice": (f"train: images/train\nval: a\nvalid: b\n{NAMED}", "val and valid are both for val"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_file_is_named(yolo: Path, name: str) -> None:
    content, message = BROKEN[name]
    _settings(yolo, content)
    with pytest.raises(DataError, match=rf"data\.yaml: {message}"):
        _set_up(yolo)


def test_label_files_that_are_no_text_are_named(yolo: Path) -> None:
    file = yolo / "labels" / "val" / "007.txt"
    file.write_bytes("0 0.5 0.5 0.1 0.1".encode("utf-16"))
    with pytest.raises(DataError, match=r"007\.txt: this file is not UTF-8"):
        _set_up(yolo)
    file.unlink()
    os.mkfifo(file)
    with pytest.raises(DataError, match=r"007\.txt: cannot be read: it is a pipe"):
        _set_up(yolo)
    assert _names(_set_up(yolo, on_error="skip"))["val"] == ["006", "008"]


def test_a_list_names_images_that_exist_and_each_once(yolo: Path, caplog: Any) -> None:
    names = ["000", "001", "002", "001"]
    (yolo / "train.txt").write_text("".join(f"images/train/{name}.png\n" for name in names))
    _settings(yolo, f"train: train.txt\nval: images/train\n{NAMED}")
    with pytest.raises(DataError, match=r"images/train/001\.png: this image is listed twice"):
        _set_up(yolo)
    with caplog.at_level(logging.WARNING):
        assert _names(_set_up(yolo, on_error="skip", test_split=0))["train"] == ["000", "001", "002"]
    assert "3 images of val are also in train" in caplog.text

    (yolo / "train.txt").write_text("images/train/000.png\nimages/train/100.png\n")
    with pytest.raises(DataError, match=r"train\.txt: entry 2: there is no image images/train/100\.png"):
        _set_up(yolo)


def test_the_yaml_file_is_found(yolo: Path) -> None:
    (yolo / "data.yaml").rename(yolo / "coco8.yaml")
    assert _names(_set_up(yolo)) == ALL
    shutil.copy(yolo / "coco8.yaml", yolo / "hyp.yaml")
    with pytest.raises(DataError, match="found 2 YAML files in this folder"):
        _set_up(yolo)
    with pytest.raises(DataError, match=r"nowhere: cannot be read: No such file"):
        _set_up(yolo / "nowhere")


def test_boxes_are_read_from_the_labels_of_poses(yolo: Path) -> None:
    expected = _set_up(yolo)._splits["train"][0][1]["boxes"]
    for file in (yolo / "labels").rglob("*.txt"):
        lines = file.read_text().splitlines()
        file.write_text("".join(f"{line} 0.5 0.5 2 0.6 0.6 1\n" for line in lines))
    settings = (yolo / "data.yaml").read_text()
    (yolo / "data.yaml").write_text(f"{settings}\nkpt_shape: [2, 3]\n")
    assert torch.equal(_set_up(yolo)._splits["train"][0][1]["boxes"], expected)


def test_two_classes_of_one_name_are_refused(yolo: Path) -> None:
    _settings(yolo, "train: images/train\nval: images/val\ntest: images/test\nnames: [car, car, bus, van]")
    with pytest.raises(DataError, match="expected a different name for each class, got car, car, bus, van"):
        _set_up(yolo)


def test_a_class_is_chosen_once(yolo: Path) -> None:
    with pytest.raises(DataError, match=r"data\.params\.classes: expected each class once"):
        _set_up(yolo, classes=["red", "red"])
