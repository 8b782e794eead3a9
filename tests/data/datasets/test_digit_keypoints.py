"""Cards with digits, whose corners are points."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from cuelight.config import Part
from cuelight.data.datasets.digit_keypoints import CORNERS, DigitKeypoints, card_corners
from cuelight.data.spec import data_spec_of
from support.checks import data_problems

FEW = {"train_scenes": 40, "val_scenes": 12, "test_scenes": 10, "num_workers": 0}


def _set_up(**params) -> DigitKeypoints:
    data = DigitKeypoints(**{"batch_size": 10, **FEW, **params})
    data.setup()
    return data


@pytest.fixture(scope="module")
def scenes() -> DigitKeypoints:
    return _set_up()


def test_batches_have_the_corners_of_each_card(scenes: DigitKeypoints) -> None:
    images, targets = next(iter(scenes.train_dataloader()))
    assert (scenes.task, scenes.class_names) == ("keypoints", ["digit"])
    assert images.shape == (10, 3, 160, 160)
    assert targets["points"].shape == (*targets["labels"].shape, 4, 2)
    assert targets["visibility"].dtype == torch.int64
    real = targets["labels"] >= 0
    assert set(targets["visibility"][real].unique().tolist()) == {1, 2}
    assert not targets["visibility"][~real].any()
    assert data_spec_of(scenes).skeleton == CORNERS


def test_cards_are_turned_by_at_most_45_degrees_and_in_perspective(scenes: DigitKeypoints) -> None:
    corners = np.concatenate([scenes._splits["train"].draw(index).corners for index in range(40)])
    down = corners[:, [3, 2]].mean(axis=1) - corners[:, [0, 1]].mean(axis=1)
    angles = np.degrees(np.arctan2(down[:, 0], down[:, 1]))
    assert np.abs(angles).max() < 60  # perspective adds to the 45 degrees
    assert np.abs(angles).max() > 35
    sides = np.linalg.norm(corners - np.roll(corners, 1, axis=1), axis=2)
    assert (sides.max(axis=1) / sides.min(axis=1)).max() > 1.2
    edges = np.roll(corners, -1, axis=1) - corners
    following = np.roll(edges, -1, axis=1)
    assert (edges[..., 0] * following[..., 1] - edges[..., 1] * following[..., 0] > 0).all()  # convex, clockwise


def test_a_corner_is_where_the_card_ends_unless_it_is_covered(scenes: DigitKeypoints) -> None:
    """A little inside of a corner there is the color of the card, a little outside the photograph."""
    differences = {True: [], False: []}
    for index in range(40):
        scene = scenes._splits["train"].draw(index)
        for corners, hidden in zip(scene.corners, scene.hidden, strict=True):
            middle = corners.mean(axis=0)
            for corner, covered in zip(corners, hidden, strict=True):
                inside, outside = (
                    scene.image[tuple(np.clip((corner + (middle - corner) * share)[::-1], 0, 159).astype(int))]
                    for share in (0.12, -0.08)
                )
                differences[bool(covered)].append(np.abs(inside.astype(int) - outside).max())
    assert np.mean(differences[False]) > 80
    assert np.mean(differences[True]) < 20
    assert len(differences[True]) > 20


def test_a_box_is_around_its_corners(scenes: DigitKeypoints) -> None:
    target = card_corners(scenes._splits["val"].draw(3))
    torch.testing.assert_close(target["boxes"][:, :2].as_subclass(torch.Tensor), target["points"].amin(1))
    torch.testing.assert_close(target["boxes"][:, 2:].as_subclass(torch.Tensor), target["points"].amax(1))


def test_a_mirrored_card_has_its_left_corners_on_the_left(scenes: DigitKeypoints) -> None:
    flipped = _set_up(transforms=[Part(name="RandomHorizontalFlip", params={"p": 1.0})])
    (_, targets), (_, moved) = (next(iter(data.train_dataloader())) for data in (scenes, flipped))
    seen = targets["labels"] >= 0
    mirrored = targets["points"][seen][:, [1, 0, 3, 2]]
    torch.testing.assert_close(moved["points"][seen], torch.stack([160 - mirrored[..., 0], mirrored[..., 1]], -1))
    assert torch.equal(moved["visibility"][seen], targets["visibility"][seen][:, [1, 0, 3, 2]])


def test_a_scene_depends_on_its_number_alone(scenes: DigitKeypoints) -> None:
    draw = scenes._splits["train"].draw
    first, _ = draw(5), draw(9)
    for again, before in zip(draw(5), first, strict=True):
        np.testing.assert_array_equal(again, before)
    assert _set_up(seed=1).fingerprint() == scenes.fingerprint()
    assert _set_up(split_seed=1).fingerprint() != scenes.fingerprint()


def test_transforms_of_images_alone_are_refused() -> None:
    (problem,) = data_problems({"name": "DigitKeypoints", "params": {"transforms": [{"name": "RandomErasing"}]}})
    assert "RandomErasing would change the image but not its" in str(problem)
