"""The same scenes with points in the formats of COCO and YOLO, and what is wrong in such files."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from PIL import Image
from torchvision.transforms.v2.functional import to_pil_image

from cuelight.config import Part
from cuelight.data.datasets.digit_keypoints import DigitKeypoints
from cuelight.data.datasets.keypoint_files import CocoKeypoints, YoloKeypoints
from cuelight.data.skeleton import Skeleton
from cuelight.errors import DataError
from support.checks import data_problems

SIZE = (96, 128)
NAMES = ["left_top", "right_top", "right_bottom", "left_bottom"]
SPLITS = {"train": 6, "val": 3, "test": 2}
SKELETON = Skeleton(tuple(NAMES), ((0, 1), (1, 2)), ((0, 1), (2, 3)))


@pytest.fixture(scope="module")
def scenes() -> dict[str, list]:
    data = DigitKeypoints(SIZE, **{f"{split}_scenes": count for split, count in SPLITS.items()})
    data.setup()
    return {split: [data._splits[split][index] for index in range(count)] for split, count in SPLITS.items()}


@pytest.fixture
def coco(scenes, tmp_path: Path) -> Path:
    root = tmp_path / "coco"
    category = {"id": 1, "name": "digit", "keypoints": NAMES, "skeleton": [[1, 2], [2, 3]]}
    for split, samples in scenes.items():
        (root / split).mkdir(parents=True)
        content: dict[str, list] = {"images": [], "annotations": [], "categories": [category]}
        for number, (image, target) in enumerate(samples):
            to_pil_image(image).save(root / split / f"{number}.png")
            content["images"].append({"id": number, "file_name": f"{number}.png", "width": 128, "height": 96})
            for box, points, seen in zip(*(target[n].tolist() for n in ("boxes", "points", "visibility")), strict=True):
                left, top, right, bottom = box
                flat = [value for place, v in zip(points, seen, strict=True) for value in (*place, v)]
                entry = {"id": len(content["annotations"]) + 1, "image_id": number, "category_id": 1, "keypoints": flat}
                content["annotations"].append(entry | {"bbox": [left, top, right - left, bottom - top]})
        file = root / "annotations" / f"person_keypoints_{split}.json"
        file.parent.mkdir(exist_ok=True)
        file.write_text(json.dumps(content))
        file.with_name(f"instances_{split}.json").write_text("{}")  # not of keypoints
    return root


@pytest.fixture
def yolo(scenes, tmp_path: Path) -> Path:
    root = tmp_path / "yolo"
    for split, samples in scenes.items():
        for folder in ("images", "labels"):
            (root / folder / split).mkdir(parents=True)
        for number, (image, target) in enumerate(samples):
            to_pil_image(image).save(root / "images" / split / f"{number}.png")
            lines = []
            for box, points, seen in zip(*(target[n].tolist() for n in ("boxes", "points", "visibility")), strict=True):
                left, top, right, bottom = box
                flat = [value for (x, y), v in zip(points, seen, strict=True) for value in (x / 128, y / 96, v)]
                sides = [(left + right) / 256, (top + bottom) / 192, (right - left) / 128, (bottom - top) / 96]
                lines.append(" ".join(map(str, [0, *sides, *flat])))
            (root / "labels" / split / f"{number}.txt").write_text("\n".join(lines))
    settings = {split: f"images/{split}" for split in SPLITS} | {"names": ["digit"], "kpt_shape": [4, 3]}
    (root / "data.yaml").write_text(yaml.safe_dump(settings | {"flip_idx": [1, 0, 3, 2], "kpt_names": {0: NAMES}}))
    return root


def _set_up(kind: type, path: Path, **params: Any) -> Any:
    data = kind(path, **{"size": SIZE, "batch_size": 3, "num_workers": 0, **params})
    data.setup()
    return data


def _change_coco(root: Path, split: str = "train", **changes: Any) -> None:
    file = root / "annotations" / f"person_keypoints_{split}.json"
    content = json.loads(file.read_text())
    for place, values in changes.items():
        content[place][0] |= values
    file.write_text(json.dumps(content))


def _change_yolo(root: Path, **changes: Any) -> None:
    settings = yaml.safe_load((root / "data.yaml").read_text()) | changes
    (root / "data.yaml").write_text(
        yaml.safe_dump({key: value for key, value in settings.items() if value is not None})
    )


def test_both_formats_have_the_points_of_the_scenes(scenes, coco, yolo) -> None:
    for data in (_set_up(CocoKeypoints, coco), _set_up(YoloKeypoints, yolo)):
        assert (data.task, data.class_names) == ("keypoints", ["digit"])
        for split, samples in scenes.items():
            for (_, found), (_, true) in zip(
                (data._splits[split][i] for i in range(len(samples))), samples, strict=True
            ):
                torch.testing.assert_close(found["points"], true["points"], atol=1e-3, rtol=0)
                assert torch.equal(found["visibility"], true["visibility"])
        _, batch = next(iter(data.train_dataloader()))
        assert batch["points"].shape == (*batch["labels"].shape, 4, 2)
        assert data.fingerprint().startswith("sha256:")


def test_the_skeleton_comes_from_the_files(coco, yolo) -> None:
    assert _set_up(CocoKeypoints, coco).skeleton == SKELETON  # pairs by the names, edges from 0
    assert _set_up(YoloKeypoints, yolo).skeleton == Skeleton(tuple(NAMES), (), ((0, 1), (2, 3)))
    assert _set_up(CocoKeypoints, coco, flip_pairs=[(0, 3)]).skeleton.flip_pairs == ((0, 3),)
    assert _set_up(CocoKeypoints, coco, flip_pairs=[]).skeleton.flip_pairs == ()


def test_left_and_right_change_places_in_a_mirrored_image(yolo) -> None:
    transforms = [Part(name="RandomHorizontalFlip", params={"p": 1.0})]
    data = _set_up(YoloKeypoints, yolo, transforms=transforms, batch_size=6, mosaic=0.5)
    _, targets = next(iter(data.train_dataloader()))
    seen = (targets["visibility"] > 0).all(-1)
    points = targets["points"][seen]
    assert len(points) > 2
    assert (points[:, 0, 0] < points[:, 1, 0]).all()  # left_top is left of right_top
    assert (points[:, 3, 0] < points[:, 2, 0]).all()


def test_an_image_stored_on_its_side_is_turned_with_its_points(coco) -> None:
    path = coco / "train" / "0.png"
    before = _set_up(CocoKeypoints, coco)._splits["train"][0][1]
    image = Image.open(path).convert("RGB").rotate(90, expand=True)
    exif = Image.Exif()
    exif[0x0112] = 6  # shown turned by 90 degrees clockwise
    image.save(path, exif=exif)
    upright = _set_up(CocoKeypoints, coco)._splits["train"][0]
    assert upright[0].size == (128, 96)
    torch.testing.assert_close(upright[1]["points"], before["points"])


def test_objects_without_points_have_a_box(coco, yolo) -> None:
    _change_coco(coco, annotations={"keypoints": []})
    assert not _set_up(CocoKeypoints, coco)._splits["train"][0][1]["visibility"][0].any()
    _change_yolo(yolo, kpt_shape=[4, 2], kpt_names=None)
    for file in yolo.glob("labels/*/*.txt"):
        lines = [line.split() for line in file.read_text().splitlines()]
        without = [[value for place, value in enumerate(line) if place < 5 or (place - 5) % 3 != 2] for line in lines]
        without[0][5:7] = ["0", "0"]
        file.write_text("\n".join(map(" ".join, without)))
    target = _set_up(YoloKeypoints, yolo)._splits["train"][0][1]
    assert target["visibility"][0].tolist() == [0, 2, 2, 2]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            {"annotations": {"keypoints": [1, 2, 2]}},
            "annotation 1: expected x, y and visibility of 4 points, 12 numbers; got 3",
        ),
        (
            {"annotations": {"keypoints": [1.0] * 15}},
            "annotation 1: expected x, y and visibility of 4 points, 12 numbers; got 15",
        ),
        ({"annotations": {"keypoints": "all"}}, "12 numbers; got all"),
        ({"annotations": {"keypoints": [5, 5, 3] * 4}}, "annotation 1: the visibility of point 0 is 3; expected 0"),
        ({"annotations": {"keypoints": [5, None, 2] * 4}}, "annotation 1: the coordinates of point 0 are not finite"),
        ({"annotations": {"keypoints": [5, float("nan"), 2] * 4}}, "the coordinates of point 0 are not finite"),
        ({"annotations": {"bbox": [5, 5, -2, 9]}}, "annotation 1: its box has no size"),
        ({"categories": {"keypoints": []}}, "no category has keypoints"),
        ({"categories": {"keypoints": ["a", "a", "b", "c"]}}, "category digit: expected a different name"),
        ({"categories": {"keypoints": "abcd"}}, "category digit: expected a list of names of points, got abcd"),
        ({"categories": {"skeleton": [[0, 1]]}}, "category digit: skeleton: there is no point -1"),
        ({"categories": {"skeleton": [[1, 2, 3]]}}, "category digit:"),
    ],
)
def test_what_is_wrong_in_a_file_of_coco(coco, change, said) -> None:
    _change_coco(coco, **change)
    with pytest.raises(DataError, match=said) as caught:
        _set_up(CocoKeypoints, coco)
    assert "person_keypoints_train.json" in str(caught.value)


def test_only_the_chosen_classes_need_the_same_points(coco) -> None:
    for file in (coco / "annotations").glob("person*.json"):
        content = json.loads(file.read_text())
        content["categories"].append({"id": 2, "name": "face", "keypoints": ["nose"]})
        box = {"image_id": 0, "category_id": 2, "bbox": [1, 1, 9, 9], "keypoints": [2, 2, 2]}
        content["annotations"].append(box | {"id": 999})
        file.write_text(json.dumps(content))
    with pytest.raises(DataError, match="digit and face have different keypoints"):
        _set_up(CocoKeypoints, coco)
    data = _set_up(CocoKeypoints, coco, classes=["digit"])
    assert data.class_names == ["digit"]
    assert data.skeleton.names == tuple(NAMES)
    assert _set_up(CocoKeypoints, coco, classes={"face": "nose"}).skeleton.names == ("nose",)


def test_splits_have_the_same_points(coco) -> None:
    _change_coco(coco, "val", categories={"keypoints": NAMES[::-1]})
    with pytest.raises(DataError, match=r"person_keypoints_val.json: its keypoints differ from those of .*train.json"):
        _set_up(CocoKeypoints, coco)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            {"kpt_shape": None},
            r"data.yaml: kpt_shape: expected \[number of points, 2\], or 3 .* got None. Use YoloDetection",
        ),
        ({"kpt_shape": [4]}, "kpt_shape: expected"),
        ({"kpt_shape": [0, 3]}, "kpt_shape: expected"),
        ({"kpt_shape": [4, 4]}, "kpt_shape: expected"),
        ({"kpt_shape": "4, 3"}, "kpt_shape: expected"),
        ({"kpt_shape": [True, 3]}, "kpt_shape: expected"),
        (
            {"kpt_shape": [5, 3], "kpt_names": None, "flip_idx": None},
            r"0.txt: line 1: expected a class .* 20 in all, got 17 numbers",
        ),
        ({"flip_idx": [1, 0, 3]}, "flip_idx: expected each index from 0 to 3 once"),
        ({"flip_idx": [1, 0, 3, 3]}, "flip_idx: expected each index from 0 to 3 once"),
        ({"flip_idx": [1, 2, 3, 0]}, "flip_idx: point 0 becomes 1, but that does not become 0"),
        ({"flip_idx": ["1", "0", "3", "2"]}, "flip_idx"),
        ({"kpt_names": {0: ["a"]}}, "expected 4 names of points, got 1"),
    ],
)
def test_what_is_wrong_in_data_yaml(yolo, change, said) -> None:
    _change_yolo(yolo, **change)
    with pytest.raises(DataError, match=said):
        _set_up(YoloKeypoints, yolo)


def test_wrong_annotations_can_be_skipped(coco, caplog) -> None:
    _change_coco(coco, annotations={"keypoints": [1, 2, 2]})
    with caplog.at_level(logging.WARNING):
        data = _set_up(CocoKeypoints, coco, on_error="skip")
    assert "skipped 1 images or objects with wrong annotations" in caplog.text
    assert len(data._splits["train"]) == 6


def test_labelled_points_outside_are_counted_and_left_out(coco, caplog) -> None:
    _change_coco(coco, annotations={"keypoints": [-9, 5, 2, 20, 20, 2, 300, 5, 1, 0, 0, 0]})
    with caplog.at_level(logging.WARNING):
        data = _set_up(CocoKeypoints, coco)
    assert "left out labelled points of 1 objects, because they are outside of the image" in caplog.text
    assert "annotation 1" in caplog.text
    assert data._splits["train"][0][1]["visibility"][0].tolist() == [0, 2, 0, 0]


def test_pairs_are_checked(coco) -> None:
    (problem,) = data_problems({"name": "CocoKeypoints", "params": {"path": "x", "flip_pairs": [[0, 1], [1, 2]]}})
    assert str(problem).startswith("data.params.flip_pairs: expected each point once, but 1 is in them twice")
    with pytest.raises(DataError, match=r"data\.params\.flip_pairs: there is no point 9; expected 0 to 3"):
        _ = _set_up(CocoKeypoints, coco, flip_pairs=[(0, 9)])


def test_fingerprints_know_the_points(coco) -> None:
    before = _set_up(CocoKeypoints, coco).fingerprint()
    content = json.loads((coco / "annotations" / "person_keypoints_train.json").read_text())
    content["annotations"][0]["keypoints"][2] = 3 - content["annotations"][0]["keypoints"][2]
    (coco / "annotations" / "person_keypoints_train.json").write_text(json.dumps(content))
    assert _set_up(CocoKeypoints, coco).fingerprint() != before
