from __future__ import annotations

import pytest
import torch

from cuelight.config import Part
from cuelight.data.datasets.digit_boxes import DigitBoxes, digit_boxes
from support.checks import data_problems

FEW = {"train_scenes": 40, "val_scenes": 12, "test_scenes": 10, "num_workers": 0}


def _set_up(**params) -> DigitBoxes:
    data = DigitBoxes(**{"batch_size": 10, **FEW, **params})
    data.setup()
    return data


@pytest.fixture(scope="module")
def scenes() -> DigitBoxes:
    return _set_up()


def test_batches_are_normalized_images_and_padded_boxes(scenes: DigitBoxes) -> None:
    images, targets = next(iter(scenes.train_dataloader()))
    most = int((targets["labels"] >= 0).sum(1).max())

    assert (scenes.task, scenes.class_names) == ("detection", list("0123456789"))
    assert images.shape == (10, 3, 160, 160)
    assert targets["boxes"].shape == (10, most, 4)
    assert targets["labels"].shape == targets["crowd"].shape == (10, most)
    assert [targets[name].dtype for name in targets] == [torch.float32, torch.int64, torch.bool]
    assert not targets["crowd"].any()


def test_a_box_is_the_extent_of_its_digit(scenes: DigitBoxes) -> None:
    scene = scenes._splits["train"].draw(7)
    target = digit_boxes(scene)

    assert target["labels"].tolist() == scene.labels.tolist()
    assert target["boxes"].canvas_size == (160, 160)
    for number, (left, top, right, bottom) in enumerate(target["boxes"].int().tolist(), 1):
        digit = torch.from_numpy(scene.instances == number)
        assert digit[top:bottom, left:right].sum() == digit.sum()
        assert digit[top].any()
        assert digit[bottom - 1].any()
        assert digit[:, left].any()
        assert digit[:, right - 1].any()


def test_boxes_do_not_overlap(scenes: DigitBoxes) -> None:
    for index in range(40):
        boxes = scenes._splits["train"][index][1]["boxes"].int()
        counts = torch.zeros(160, 160)
        for left, top, right, bottom in boxes.tolist():
            counts[top:bottom, left:right] += 1
        assert counts.max() == 1


def test_what_moves_a_scene_moves_its_boxes(scenes: DigitBoxes) -> None:
    flipped = _set_up(transforms=[Part(name="RandomHorizontalFlip", params={"p": 1.0})])
    (images, targets), (mirrored, moved) = (next(iter(data.train_dataloader())) for data in (scenes, flipped))
    seen = targets["labels"] >= 0

    assert torch.equal(images.flip(-1), mirrored)
    assert torch.equal(targets["labels"], moved["labels"])
    left, top, right, bottom = targets["boxes"][seen].unbind(1)
    assert torch.equal(moved["boxes"][seen], torch.stack([160 - right, top, 160 - left, bottom], 1))


def test_wrong_parameters_are_found_before_anything_is_read() -> None:
    params = {"min_visible": 1.5, "size": 16}
    problems = [str(p) for p in data_problems({"name": "DigitBoxes", "params": params})]
    assert {problem.partition(":")[0] for problem in problems} == {"data.params.size", "data.params.min_visible"}

    (problem,) = data_problems({"name": "DigitBoxes", "params": {"transforms": [{"name": "RandomErasing"}]}})
    assert str(problem).startswith("data.params.transforms.0.name: RandomErasing would change the image but not its")


def test_the_fingerprint_tells_scenes_apart(scenes: DigitBoxes) -> None:
    assert _set_up(seed=1).fingerprint() == scenes.fingerprint()
    assert _set_up(split_seed=1).fingerprint() != scenes.fingerprint()
