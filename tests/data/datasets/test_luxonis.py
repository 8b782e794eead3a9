from __future__ import annotations

import json
import logging
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from cuelight.data.datasets.coco import CocoDetection
from cuelight.data.datasets.image_folder import ImageFolder
from cuelight.data.datasets.luxonis import LuxonisClassification, LuxonisDetection
from cuelight.errors import DataError
from cuelight.runs.run import Run
from support.box_files import NAMES, write_coco

SMALL = {"size": 24, "batch_size": 4, "num_workers": 0}


@pytest.mark.parametrize("folder", ["/", "/tmp", "datasets"])
def test_a_folder_of_another_place_is_refused(folder: str, tmp_path: Path) -> None:
    (tmp_path / "datasets").mkdir()
    with pytest.raises(DataError, match=r"this is no dataset of luxonis-ml\. Expected the folder of a dataset"):
        LuxonisDetection(tmp_path / folder, **SMALL).setup()


def test_the_package_is_named_where_it_is_missing(tmp_path: Path, monkeypatch) -> None:
    folder = tmp_path / "data" / "offline" / "datasets" / "cars"
    (folder / "metadata").mkdir(parents=True)
    monkeypatch.setitem(sys.modules, "luxonis_ml.data", None)
    with pytest.raises(DataError, match=r'Run: pip install "cuelight\[ldf\]"'):
        LuxonisDetection(folder, **SMALL).setup()


@pytest.fixture
def ldf(tmp_path: Path, monkeypatch) -> Any:
    """The package, with another place for datasets while the test makes them."""
    data = pytest.importorskip("luxonis_ml.data", exc_type=ImportError)
    from luxonis_ml.utils import environ

    (tmp_path / "luxonis").mkdir()
    monkeypatch.setattr(environ, "LUXONISML_BASE_PATH", tmp_path / "luxonis")
    return data


def _folder(tmp_path: Path, name: str) -> Path:
    return tmp_path / "luxonis" / "data" / "offline" / "datasets" / name


@pytest.fixture
def digits(ldf: Any, tmp_path: Path, write_digits) -> Path:
    """The dataset "digits", and the folders of its images."""
    splits = {}
    for number, split in enumerate(("train", "val", "test")):
        folder = write_digits(tmp_path / "digits" / split, per_class=4 + number, first=10 * number)
        splits[split] = sorted(folder.rglob("*.png"))
    dataset = ldf.LuxonisDataset("digits")
    files = [file for listed in splits.values() for file in listed]
    dataset.add({"file": file, "annotation": {"class": file.parent.name}} for file in files)
    dataset.make_splits(splits)
    return tmp_path / "digits"


def test_labels_are_those_of_the_images(digits: Path) -> None:
    data, same = LuxonisClassification(_folder(digits.parent, "digits"), **SMALL), ImageFolder(digits, **SMALL)
    data.setup(), same.setup()

    assert data.class_names == same.class_names
    for split, files in same._splits.items():
        found = data._splits[split]
        assert dict(zip(found.paths, found.labels, strict=True)) == dict(zip(files.paths, files.labels, strict=True))


def test_names_of_images_are_relative_to_their_common_folder(digits: Path) -> None:
    groups = {"group_by": "^(train|val|test)/"}
    data = LuxonisClassification(_folder(digits.parent, "digits"), **groups, **SMALL)
    same = ImageFolder(digits, **SMALL)
    data.setup(), same.setup()

    assert data.images_root == digits
    assert data.fingerprint() == same.fingerprint()


@pytest.fixture
def coco(ldf: Any, tmp_path: Path) -> CocoDetection:
    """The dataset "scenes" from images and boxes in the format of COCO, which are returned."""
    same = CocoDetection(write_coco(tmp_path / "coco"), **SMALL)
    splits = same._read().splits
    records = []
    for image in (image for images in splits.values() for image in images):
        for number, each in enumerate(image.objects):
            left, top, right, bottom = (v / s for v, s in zip(each.box, (128, 96) * 2, strict=True))
            box = {"x": left, "y": top, "w": right - left, "h": bottom - top}
            annotation = {"class": each.name, "boundingbox": box, "instance_id": number}
            records.append({"file": image.path, "task_name": "colors", "annotation": annotation})
        records.append({"file": image.path, "task_name": "colors"})
    dataset = ldf.LuxonisDataset("scenes")
    dataset.add(iter(records))
    dataset.make_splits({split: [image.path for image in images] for split, images in splits.items()})
    same.setup()
    return same


def test_boxes_are_those_of_the_images(coco: CocoDetection, tmp_path: Path) -> None:
    data = LuxonisDetection(_folder(tmp_path, "scenes"), **SMALL)
    data.setup()

    assert sorted(data.class_names) == sorted(NAMES)
    for split, files in coco._splits.items():
        found = data._splits[split]
        assert sorted(found.paths) == sorted(files.paths)
        for index, path in enumerate(files.paths):
            target, expected = found[found.paths.index(path)][1], files[index][1]
            assert torch.allclose(torch.Tensor(target["boxes"]), torch.Tensor(expected["boxes"]), atol=1e-2)
            names = [data.class_names[label] for label in target["labels"]]
            assert names == [coco.class_names[label] for label in expected["labels"]]


def test_a_missing_image_is_named_or_left_out(coco: CocoDetection, tmp_path: Path, caplog) -> None:
    path = coco._splits["val"].paths[0]
    Path(path).unlink()
    with pytest.raises(DataError, match=f"datasets/scenes: val: there is no image {path}"):
        LuxonisDetection(_folder(tmp_path, "scenes"), **SMALL).setup()
    data = LuxonisDetection(_folder(tmp_path, "scenes"), on_error="skip", **SMALL)
    with caplog.at_level(logging.WARNING):
        data.setup()
    assert len(data._splits["val"]) == 2
    assert "skipped 1 images or objects" in caplog.text


def test_another_dataset_or_task_is_refused(coco: CocoDetection, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="there is no such folder"):
        LuxonisDetection(_folder(tmp_path, "scene"), **SMALL).setup()
    with pytest.raises(DataError, match=r"coco: this is no dataset of luxonis-ml\. Expected the folder of a dataset"):
        LuxonisDetection(tmp_path / "coco", **SMALL).setup()
    with pytest.raises(DataError, match=r'its tasks of the type boundingbox: "colors"\. Set task_name to one'):
        LuxonisDetection(_folder(tmp_path, "scenes"), task_name="cars", **SMALL).setup()
    with pytest.raises(DataError, match=r"000\.png: expected one label, got blue, "):
        LuxonisClassification(_folder(tmp_path, "scenes"), **SMALL).setup()


def test_an_empty_or_damaged_dataset_or_another_version_is_named(digits: Path, tmp_path: Path) -> None:
    folder = _folder(tmp_path, "digits")
    (table,) = (folder / "annotations").glob("*.parquet")

    def refused(message: str) -> None:
        with pytest.raises(DataError, match=f"datasets/digits: {message}"):
            LuxonisClassification(folder, **SMALL).setup()

    metadata = folder / "metadata" / "metadata.json"
    before = metadata.read_text()
    older = {"ldf_version": "1.0.0", "classes": {"classification": ["one", "two", "zero"]}}
    metadata.write_text(json.dumps(json.loads(before) | older))
    refused(r"it is in LDF 1\.0\.0, but luxonis-ml in 2")
    metadata.write_text(before)
    content = table.read_bytes()
    table.write_bytes(content[:100])
    refused("luxonis-ml cannot read this dataset: ")
    table.unlink()
    refused("this dataset is empty")


def test_the_order_of_tables_and_members_does_not_matter(digits: Path, tmp_path: Path) -> None:
    polars = pytest.importorskip("polars")
    folder = _folder(tmp_path, "digits")
    before = LuxonisClassification(folder, **SMALL)
    before.setup()
    (table,) = (folder / "annotations").glob("*.parquet")
    rows = polars.read_parquet(table)
    rows[:20].write_parquet(table.with_name("9.parquet"))
    rows[20:].write_parquet(table.with_name("1.parquet"))
    table.unlink()
    members = folder / "metadata" / "splits.json"
    members.write_text(json.dumps({split: ids[::-1] for split, ids in json.loads(members.read_text()).items()}))
    after = LuxonisClassification(folder, **SMALL)
    after.setup()
    assert {split: files.paths for split, files in after._splits.items()} == {
        split: files.paths for split, files in before._splits.items()
    }


def test_a_run_is_trained_and_tested(digits: Path, tmp_path: Path) -> None:
    tree = {
        "name": "ldf",
        "model": {"name": "ClassificationModel", "params": {"backbone": "test_resnet"}},
        "data": {"name": "LuxonisClassification", "params": {"path": str(_folder(tmp_path, "digits")), "size": 32}},
        "trainer": {"epochs": 1, "batch_size": 8, "num_workers": 2, "accelerator": "cpu"},
    }
    result = Run.from_yaml(tree).train(tmp_path / "runs")

    assert 0 <= result.metrics["test/accuracy"] <= 1
