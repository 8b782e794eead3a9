from __future__ import annotations

import json
import logging
import os
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from cuelight.data.datasets.coco import CocoDetection
from cuelight.errors import DataError
from support.box_files import NAMES, write_coco, write_coco_file
from support.box_scenes import overlapping_scene
from support.checks import data_problems


def _set_up(path: Path, **params: Any) -> CocoDetection:
    data = CocoDetection(path, **{"size": (96, 128), "batch_size": 4, "num_workers": 0, **params})
    data.setup()
    return data


def _names(data: CocoDetection) -> dict[str, list[str]]:
    return {split: [Path(path).stem for path in files.paths] for split, files in data._splits.items()}


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


def test_images_and_boxes_are_loaded_together(coco: Path) -> None:
    data = _set_up(coco)

    assert data.class_names == list(NAMES)
    assert _names(data) == {
        "train": ["000", "001", "002", "003", "004", "005"], "val": ["006", "007", "008"], "test": ["009", "010"],
    }  # fmt: skip
    _, target = next(iter(data.test_dataloader()))
    for place, seed in enumerate((9, 10)):
        expected = overlapping_scene(seed)[1]
        seen = target["labels"][place] >= 0
        assert torch.allclose(target["boxes"][place][seen], torch.Tensor(expected["boxes"]))
        assert torch.equal(target["labels"][place][seen], expected["labels"])


def _roboflow(root: Path) -> None:
    for split, folder in (("train", "train"), ("val", "valid"), ("test", "test")):
        file = root / folder / "_annotations.coco.json"
        write_coco_file(file, root / folder, {"train": range(4), "val": [4], "test": [5]}[split])
        group = {"id": 0, "name": "colors", "supercategory": "none"}
        _change(file, lambda content, group=group: content["categories"].insert(0, group))
        _change(file, lambda content: content["categories"][1].update(supercategory=["odd"]))


def _cvat(root: Path) -> None:
    write_coco_file(root / "annotations" / "instances_default.json", root / "images" / "default", range(6))


def _cvat_project(root: Path) -> None:
    for split, scenes in (("Train", range(4)), ("Validation", [4]), ("Test", [5])):
        write_coco_file(root / "annotations" / f"instances_{split}.json", root / "images" / split, scenes)


def _cvat_task(root: Path) -> None:
    write_coco_file(root / "annotations" / "instances_default.json", root / "images", range(6))
    _change(root / "annotations" / "instances_default.json", lambda content: content.update(licenses=[], info={}))


def _fiftyone(root: Path) -> None:
    for folder, scenes in (("train", range(4)), ("validation", [4]), ("test", [5])):
        write_coco_file(root / folder / "labels.json", root / folder / "data", scenes)


def _one_file(root: Path) -> None:
    write_coco_file(root / "result.json", root / "images", range(6))


def _names_with_folders(root: Path) -> None:
    write_coco_file(root / "labels.json", root / "photos", range(6))
    _change(
        root / "labels.json",
        lambda content: [image.update(file_name="photos\\" + image["file_name"]) for image in content["images"]],
    )


@pytest.mark.parametrize(
    "write", [_roboflow, _cvat, _cvat_project, _cvat_task, _fiftyone, _one_file, _names_with_folders]
)
def test_exports_of_other_tools_are_read_as_they_are(tmp_path: Path, write: Any) -> None:
    write(tmp_path)
    data = _set_up(tmp_path, val_split=0.2, test_split=0.2)

    assert data.class_names == list(NAMES)
    assert sum(map(len, _names(data).values())) == 6
    assert list(data._splits) == ["train", "val", "test"]


def test_files_and_folders_can_be_set(tmp_path: Path) -> None:
    write_coco_file(tmp_path / "a.json", tmp_path / "x", range(4))
    write_coco_file(tmp_path / "b.json", tmp_path / "y", range(4, 6))
    with pytest.raises(DataError, match=r"is a\.json or b\.json the file of train\? Set data\.params\.annotations"):
        _set_up(tmp_path)
    with pytest.raises(DataError, match=r"a\.json: 000\.png is in none of the folders .*Set data\.params\.images"):
        _set_up(tmp_path, annotations="a.json")

    data = _set_up(tmp_path, annotations={"train": "a.json", "val": "b.json"}, images={"train": "x", "val": "y"})
    assert _names(data)["val"] == ["004", "005"]
    with pytest.raises(DataError, match="there is no JSON file for train"):
        _set_up(tmp_path, annotations={"val": "b.json"})


@pytest.mark.parametrize("name", ["CocoDetection", "CocoKeypoints", "CocoMultiLabel"])
@pytest.mark.parametrize(
    ("annotations", "message"),
    [
        ({"val": "a.json"}, "data.params.annotations: the file of train is missing."),
        ({"trian": "a.json"}, 'data.params.annotations.trian: unknown key "trian". Did you mean "train"?'),
    ],
)
def test_mistakes_in_the_files_are_found_before(name: str, annotations: Any, message: str) -> None:
    (problem,) = data_problems({"name": name, "params": {"path": "x", "annotations": annotations}})
    assert str(problem).startswith(message)


def test_the_order_of_the_images_does_not_matter(tmp_path: Path) -> None:
    _one_file(tmp_path)
    before = _names(_set_up(tmp_path, val_split=0.4, test_split=0))
    _change(tmp_path / "result.json", lambda content: content["images"].reverse())
    assert _names(_set_up(tmp_path, val_split=0.4, test_split=0)) == before


def test_a_crowd_is_a_region_to_ignore(coco: Path, train: Path) -> None:
    _change(train, lambda content: content["annotations"][1].update(iscrowd=1))
    target = _set_up(coco)._splits["train"][0][1]

    assert target["crowd"].tolist() == [False, True, *[False] * 6]


def test_categories_are_matched_by_name(coco: Path) -> None:
    file = coco / "annotations" / "instances_val2017.json"
    before = _set_up(coco)._splits["val"][0][1]["labels"]
    write_coco_file(file, coco / "val2017", range(6, 9), ids=(4, 3, 2, 1))

    assert torch.equal(_set_up(coco)._splits["val"][0][1]["labels"], before)

    write_coco_file(file, coco / "val2017", range(6, 9), names=("red", "green", "blue", "pink"))
    with pytest.raises(DataError, match=r"val2017\.json: annotation \d+: its class pink is not among those of"):
        _set_up(coco)
    assert len(_set_up(coco, on_error="skip")._splits["val"]) == 3


WRONG = {
    "crowd as text": (lambda c: c["annotations"][2].update(iscrowd="0"), "annotation 3: iscrowd: expected 0 or 1"),
    "far away": (lambda c: c["annotations"][2].update(bbox=[0, 0, 1e300, 9]), "annotation 3: the coordinates"),
    "negative size": (lambda c: c["annotations"][2].update(bbox=[5, 5, -2, 9]), "annotation 3: its box has no size"),
    "NaN": (lambda c: c["annotations"][2].update(bbox=[5, 5, float("nan"), 9]), "annotation 3: the coordinates"),
    "infinity": (lambda c: c["annotations"][2].update(bbox=[5, 5, 10**400, 9]), "annotation 3: the coordinates"),
    "text": (lambda c: c["annotations"][2].update(bbox="5 5 8 9"), "annotation 3: the coordinates"),
    "three numbers": (lambda c: c["annotations"][2].update(bbox=[5, 5, 8]), "annotation 3: the coordinates"),
    "no box": (lambda c: c["annotations"][2].pop("bbox"), "annotation 3: the coordinates"),
    "outside": (lambda c: c["annotations"][2].update(bbox=[200, 5, 8, 9]), "outside of the image, which has 128 x 96"),
    "unknown category": (lambda c: c["annotations"][2].update(category_id=4), "annotation 3: there is no category 4"),
    "category of a wrong type": (lambda c: c["annotations"][2].update(category_id=[4]), "there is no category"),
    "no image": (lambda c: c["annotations"][2].update(image_id=4), "annotation 3: there is no image 4"),
    "missing file": (lambda c: c["images"][2].update(file_name="gone.png"), "image 102: there is no file .*gone.png"),
    "image twice": (lambda c: c["images"].append(c["images"][2] | {"id": 4}), "002.png: this image is listed twice"),
    "id twice": (lambda c: c["images"].append(c["images"][2]), "images: entry 102: there are two entries of this id"),
    "image without name": (lambda c: c["images"].append({"id": 9}), "images: entry 9: expected an id and a file_name"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_entry_is_named_or_skipped_and_counted(coco: Path, train: Path, name: str, caplog: Any) -> None:
    change, message = WRONG[name]
    _change(train, change)
    with pytest.raises(DataError, match=rf"{message}.*on_error: skip"):
        _set_up(coco)

    with caplog.at_level(logging.WARNING):
        assert len(_set_up(coco, on_error="skip")._splits["train"]) == (5 if name == "missing file" else 6)
    assert "skipped 1 images or objects with wrong annotations" in caplog.text


def test_boxes_that_extend_beyond_their_image_are_cut_off_and_counted(coco: Path, train: Path, caplog: Any) -> None:
    _change(train, lambda content: content["annotations"][0].update(bbox=[100, 80, 50, 16.5]))
    data = _set_up(coco)

    assert data._splits["train"][0][1]["boxes"][0].tolist() == [100, 80, 128, 96]
    assert f"{coco}: cut off 1 boxes that extend beyond their image: {train}: annotation 1" in caplog.text


BROKEN = {
    "not JSON": (b'{"images": [', "this is not JSON"),
    "nested": (b"[" * 200_000, "it is nested too deeply"),
    "list": (b"[]", "expected an object with images"),
    "no annotations": (b'{"images": [], "categories": []}', "expected a list of objects under annotations"),
    "numbers": (b'{"images": [1], "categories": [], "annotations": []}', "expected a list of objects under images"),
    "latin-1": (b'{"images": "\xe9"}', "this file is not UTF-8"),
    "utf-16": ('{"images": []}'.encode("utf-16"), "this file is not UTF-8"),
    "empty": (b"", "this is not JSON"),
    "long number": (b'{"images": ' + b"9" * 5000 + b"}", "this is not JSON"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_file_is_named(coco: Path, train: Path, name: str) -> None:
    content, message = BROKEN[name]
    train.write_bytes(content)
    with pytest.raises(DataError, match=rf"instances_train2017\.json: {message}"):
        _set_up(coco)


def test_a_pipe_is_refused(coco: Path, train: Path) -> None:
    train.unlink()
    os.mkfifo(train)
    with pytest.raises(DataError, match="it is a pipe or a device"):
        _set_up(coco)


def test_images_that_no_file_lists_are_counted(coco: Path, train: Path, caplog: Any) -> None:
    _change(train, lambda content: content["images"].pop())  # its annotations remain
    with pytest.raises(DataError, match="there is no image 105"):
        _set_up(coco)
    _change(train, lambda content: content.update(annotations=content["annotations"][:8]))
    _set_up(coco)
    assert f"{coco}: not used: 1 image without annotation (train2017/005.png)" in caplog.text


def test_an_annotation_for_another_size_is_an_error(coco: Path) -> None:
    Image.new("RGB", (64, 48)).save(coco / "train2017" / "000.png")
    data = _set_up(coco)
    message = r"000\.png: the annotation of this image cannot be read: it is for 128 x 96 pixels, but .* 64 x 48"
    with pytest.raises(DataError, match=message):
        list(data.train_dataloader())
    assert len(list(_set_up(coco, on_error="skip").train_dataloader())) == 2


@pytest.mark.parametrize("orientation", range(2, 9))
def test_boxes_of_a_photo_that_is_not_upright_turn_with_it(tmp_path: Path, orientation: int) -> None:
    content = write_coco_file(tmp_path / "train.json", tmp_path / "images", range(3))
    stored = Image.new("RGB", (128, 96))
    stored.paste((255, 0, 0), (10, 20, 40, 90))
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored.save(tmp_path / "images" / "000.png", exif=exif)
    content["annotations"] = [{"id": 1, "image_id": 100, "category_id": 3, "bbox": [10, 20, 30, 70]}]
    (tmp_path / "train.json").write_text(json.dumps(content))
    image, target = _set_up(tmp_path, val_split=0.3, keep_empty=True)._splits["train"][0]

    left, top, right, bottom = map(int, target["boxes"][0].tolist())
    seen = Image.Image.getbbox(image)
    if orientation >= 5:  # the size tells that the boxes are for the image as it is stored
        assert (left, top, right, bottom) == seen
    else:
        assert (left, top, right, bottom) == (10, 20, 40, 90)


@pytest.mark.parametrize("box", [[5, 5, 0, 9], [90, 5, 1e-9, 9]])
def test_boxes_without_a_size_are_left_out_and_counted(coco: Path, train: Path, caplog: Any, box: list[float]) -> None:
    """As in the training images of COCO itself."""
    whole = sum(len(target["labels"]) for _, target in _set_up(coco)._splits["train"])
    _change(train, lambda content: content["annotations"][2].update(bbox=box))
    data = _set_up(coco)
    assert sum(len(target["labels"]) for _, target in data._splits["train"]) == whole - 1
    assert f"left out 1 boxes that have no width or no height: {train}: annotation 3" in caplog.text
