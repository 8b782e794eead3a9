"""What the data modules of boxes have in common, read from the layout of YOLO."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from cuelight import registry
from cuelight.config import Part
from cuelight.data.datasets.coco import CocoDetection
from cuelight.data.datasets.voc_detection import VOCDetection
from cuelight.data.datasets.yolo import YoloDetection
from cuelight.data.protocols import CountsRepeatedImages, DescribesImages, HasFingerprint, LabelsByName, NamesClasses
from cuelight.errors import DataError
from support.box_files import NAMES, write_coco, write_voc, write_yolo
from support.checks import data_problems


def _set_up(path: Path, **params: Any) -> YoloDetection:
    data = YoloDetection(path, **{"size": (96, 128), "batch_size": 3, "num_workers": 0, **params})
    data.setup()
    return data


def _label(root: Path, split: str, name: str, *labels: int) -> None:
    lines = [f"{label} {0.2 + 0.1 * number:g} 0.5 0.05 0.1" for number, label in enumerate(labels)]
    (root / "labels" / split / f"{name}.txt").write_text("\n".join(lines))


@pytest.fixture
def yolo(tmp_path: Path) -> Path:
    return write_yolo(tmp_path / "yolo")


def test_it_describes_itself(yolo: Path) -> None:
    data = YoloDetection(yolo)

    assert data.task == "detection"
    assert data.class_names == list(NAMES)
    assert data.preprocessing.size == (416, 416)
    assert data.preprocessing.resize == "letterbox"
    for protocol in (CountsRepeatedImages, DescribesImages, HasFingerprint, LabelsByName, NamesClasses):
        assert isinstance(data, protocol)


def test_every_format_gives_the_same_batches(tmp_path: Path) -> None:
    options = {"size": 64, "classes": list(NAMES), "batch_size": 3, "num_workers": 0}
    written = [
        YoloDetection(write_yolo(tmp_path / "yolo"), **options),
        CocoDetection(write_coco(tmp_path / "coco"), **options),
        VOCDetection(write_voc(tmp_path / "voc"), **options),
    ]
    for data in written:
        data.setup()
    for split in ("train", "val", "test"):
        for (images, target), *others in zip(*(data.whole_dataloader(split) for data in written), strict=True):
            for same_images, same in others:
                assert torch.equal(images, same_images)
                assert torch.allclose(target["boxes"], same["boxes"], atol=1e-3)
                assert torch.equal(target["labels"], same["labels"])


def test_classes_are_chosen_and_ordered(yolo: Path) -> None:
    _label(yolo, "train", "000", 0, 1, 2, 3, 1)
    data = _set_up(yolo, classes=["green", "red"])

    assert data.class_names == ["green", "red"]
    assert data._splits["train"][0][1]["labels"].tolist() == [1, 0, 0]


def test_classes_are_renamed_and_joined(yolo: Path) -> None:
    _label(yolo, "train", "000", 0, 1, 2, 3, 1)
    data = _set_up(yolo, classes={"yellow": "warm", "blue": "cold", "red": "warm"})

    assert data.class_names == ["warm", "cold"]
    assert data._splits["train"][0][1]["labels"].tolist() == [0, 1, 0]


def test_a_class_that_does_not_exist_is_an_error(yolo: Path) -> None:
    with pytest.raises(DataError, match=r'there is no class gren\. Did you mean "green"\? The data has: red, green'):
        _set_up(yolo, classes=["gren"])


def test_images_without_objects_are_kept_by_choice(yolo: Path) -> None:
    _label(yolo, "train", "000")
    _label(yolo, "val", "006", 0)

    assert [len(_set_up(yolo, keep_empty=keep)._splits["train"]) for keep in (True, False)] == [6, 5]
    only_green = _set_up(yolo, keep_empty=False, classes=["green"])
    assert "006" not in {Path(path).stem for path in only_green._splits["val"].paths}


def test_training_without_a_single_object_is_an_error(yolo: Path) -> None:
    for file in (yolo / "labels" / "train").iterdir():
        file.write_text("")
    with pytest.raises(DataError, match=r"no training image has any of the classes \['red'"):
        _set_up(yolo)


def test_classes_that_a_split_lacks_are_named(yolo: Path, caplog: Any) -> None:
    for file in (yolo / "labels" / "val").iterdir():
        _label(yolo, "val", file.stem, 0, 2)
    with caplog.at_level(logging.WARNING):
        _set_up(yolo)

    assert "val: no image of 2 of 4 classes: green, yellow. Its metrics do not measure them." in caplog.text


def test_missing_splits_have_the_rare_classes_too(yolo: Path) -> None:
    for number, file in enumerate(sorted((yolo / "labels").rglob("*.txt"))):
        _label(yolo, file.parent.name, file.stem, 0, *([3] if number < 4 else []))
    (yolo / "data.yaml").write_text("train: [images/train, images/val, images/test]\nnames: [red, green, blue, yellow]")
    for seed in range(5):
        data = _set_up(yolo, val_split=0.25, test_split=0.25, classes=["red", "yellow"], split_seed=seed)
        assert [set(files.seen_labels()) for files in data._splits.values()] == [{0, 1}] * 3


def test_labels_follow_the_classes_of_a_model(yolo: Path) -> None:
    data = YoloDetection(yolo, num_workers=0, classes=["blue", "red"])
    data.setup()
    data.use_classes(["red", "violet", "blue"])
    data.setup()
    _label(yolo, "train", "000", 0, 2)

    assert data.class_names == ["red", "violet", "blue"]
    assert set(data._splits["train"].seen_labels()) == {0, 2}
    with pytest.raises(DataError, match=r"the model does not know green, yellow\. Its classes: red, blue"):
        YoloDetection(yolo).use_classes(["red", "blue"])


def test_the_fingerprint_is_of_images_boxes_classes_and_splits(yolo: Path, tmp_path: Path) -> None:
    before = _set_up(yolo).fingerprint()
    shutil.copytree(yolo, tmp_path / "elsewhere")

    assert _set_up(tmp_path / "elsewhere", size=64).fingerprint() == before
    others = {before, _set_up(yolo, classes=["red"]).fingerprint()}
    (yolo / "data.yaml").write_text((yolo / "data.yaml").read_text().replace("red", "rot"))
    others.add(_set_up(yolo).fingerprint())
    _label(yolo, "val", "006", 1)
    others.add(_set_up(yolo).fingerprint())
    assert len(others) == 4


def test_images_of_validation_in_training_are_counted(yolo: Path) -> None:
    shutil.copy(yolo / "images" / "train" / "000.png", yolo / "images" / "val" / "006.png")
    data = _set_up(yolo)
    data.fingerprint()

    assert data.images_also_in_train == {"val": 1}


@pytest.mark.parametrize("workers", [0, 2])
def test_mosaics_of_files_are_the_same_for_any_number_of_workers(yolo: Path, workers: int) -> None:
    options = {"mosaic": 1.0, "mixup": 0.5, "transforms": [Part(name="RandomHorizontalFlip")], "on_error": "skip"}
    (yolo / "images" / "train" / "003.png").write_bytes(b"broken")
    expected = list(_set_up(yolo, **options).train_dataloader())
    seen = list(_set_up(yolo, num_workers=workers, **options).train_dataloader())

    assert [len(images) for images, _ in seen] == [3, 3]
    for (images, target), (same_images, same) in zip(expected, seen, strict=True):
        assert torch.equal(images, same_images)
        assert torch.equal(target["boxes"], same["boxes"])
    assert max(target["boxes"].shape[1] for _, target in seen) > 8


def test_a_file_may_set_every_parameter() -> None:
    params = {
        "path": "x", "classes": {"a": "b"}, "keep_empty": False, "size": [320, 416], "resize": "crop", "mosaic": 0.5,
        "min_visible": 0.2, "mixup": 0.1, "close_mosaic": 3, "on_error": "skip", "color": "GRAY", "val_split": 0.3,
    }  # fmt: skip
    for name in ("YoloDetection", "CocoDetection", "VOCDetection"):
        assert data_problems({"name": name, "params": params}) == []
        assert registry.data.build({"name": name, "params": params}, batch_size=3).mixing.plain_epochs == 3

    (problem,) = data_problems({"name": "YoloDetection", "params": {"path": "x", "classes": []}})
    assert problem.path == "data.params.classes"
    wrong = {"path": "x", "classes": 3, "mosaic": 2, "min_visible": -1, "close_mosaic": -1, "resize": "pad"}
    problems = data_problems({"name": "YoloDetection", "params": wrong})
    assert {problem.path.rpartition(".")[2] for problem in problems} == wrong.keys() - {"path"}
