from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest

from cuelight.data.datasets.coco_multi_label import CocoMultiLabel
from cuelight.errors import DataError
from support.box_files import NAMES, write_coco
from support.box_scenes import overlapping_scene
from support.checks import data_problems


def _set_up(path: Path, **params: Any) -> CocoMultiLabel:
    data = CocoMultiLabel(path, **{"size": 32, "batch_size": 4, "num_workers": 0, **params})
    data.setup()
    return data


def _change(file: Path, change: Any) -> None:
    content = json.loads(file.read_text())
    change(content)
    file.write_text(json.dumps(content))


@pytest.fixture
def coco(tmp_path: Path) -> Path:
    return write_coco(tmp_path / "coco")


@pytest.fixture
def train(coco: Path) -> Path:
    return coco / "annotations" / "instances_train2017.json"


def test_an_image_has_the_categories_of_its_annotations(coco: Path) -> None:
    data = _set_up(coco)
    assert (data.task, data.class_names) == ("multilabel", list(NAMES))
    assert {split: len(files) for split, files in data._splits.items()} == {"train": 6, "val": 3, "test": 2}
    _, labels = next(iter(data.test_dataloader()))
    for place, seed in enumerate((9, 10)):
        present = set(overlapping_scene(seed)[1]["labels"].tolist())
        assert labels[place].tolist() == [float(label in present) for label in range(4)]


def test_a_crowd_and_an_annotation_without_a_box_count(coco: Path, train: Path) -> None:
    def change(content: Any) -> None:
        first = content["images"][0]["id"]
        content["annotations"] = [one for one in content["annotations"] if one["image_id"] != first]
        content["annotations"] += [
            {"id": 900, "image_id": first, "category_id": 3, "bbox": [1, 1, 5, 5], "iscrowd": 1},
            {"id": 901, "image_id": first, "category_id": 20},
        ]

    _change(train, change)
    assert _set_up(coco)._splits["train"][0][1].tolist() == [1, 0, 1, 0]


def test_an_image_without_annotations_has_no_class(coco: Path, train: Path) -> None:
    first = json.loads(train.read_text())["images"][0]["id"]
    _change(train, lambda c: c.update(annotations=[one for one in c["annotations"] if one["image_id"] != first]))
    assert _set_up(coco)._splits["train"][0][1].tolist() == [0, 0, 0, 0]
    assert len(_set_up(coco, keep_empty=False)._splits["train"]) == 5


def test_classes_are_chosen(coco: Path) -> None:
    data, chosen = _set_up(coco), _set_up(coco, classes=["blue", "red"])
    for (_, labels), (_, few) in zip(data._splits["train"], chosen._splits["train"], strict=True):
        assert few.tolist() == [labels[2], labels[0]]


def test_wrong_entries_are_named_or_skipped(coco: Path, train: Path, caplog: Any) -> None:
    _change(train, lambda content: content["annotations"][2].update(category_id=4))
    with pytest.raises(DataError, match=r"annotation 3: there is no category 4\. .*on_error: skip"):
        _set_up(coco)
    with caplog.at_level(logging.WARNING):
        assert len(_set_up(coco, on_error="skip")._splits["train"]) == 6
    assert "skipped 1 images or objects with wrong annotations" in caplog.text


def test_parameters_of_boxes_are_unknown() -> None:
    (problem,) = data_problems({"name": "CocoMultiLabel", "params": {"path": "x", "mosaic": 0.5}})
    assert problem.path == "data.params.mosaic"
    params = {"path": "x", "annotations": {"train": "a.json"}, "images": "x", "classes": ["a"], "size": 64}
    assert data_problems({"name": "CocoMultiLabel", "params": params}) == []
