"""The loss of points."""

import pytest
import torch

from cuelight.data.skeleton import Skeleton
from cuelight.data.targets.keypoints import Keypoints, keypoint_target
from cuelight.tasks.detection.losses import DEFAULT_LOSS, DetectionLoss
from cuelight.tasks.keypoints.losses import KeypointLoss, points_of

STRIDES = (8, 16)
BOX = [8.0, 8.0, 40.0, 40.0]
PLACES = torch.tensor([[12.0, 12.0], [36.0, 20.0]])


def targets(*visibility):
    """One object in each image, with the visibilities of its two points."""
    kind = Keypoints(Skeleton(("a", "b")))
    points = [torch.cat([PLACES, torch.tensor(seen)[:, None]], 1)[None] for seen in visibility]
    return kind.collate([keypoint_target(torch.tensor([BOX]), torch.tensor([0]), each, (64, 64)) for each in points])


def maps(images=1, shift=0.0, logit=0.0):
    """Outputs of a model that finds the box, and the points at a distance."""
    boxes, points = [], []
    for stride in STRIDES:
        side = 64 // stride
        columns, rows = torch.meshgrid(torch.arange(side) + 0.5, torch.arange(side) + 0.5, indexing="xy")
        left, top, right, bottom = (value / stride for value in BOX)
        distances = torch.stack([columns - left, rows - top, right - columns, bottom - rows]).clamp(min=0)
        boxes.append(torch.cat([distances, torch.zeros(1, side, side)])[None].repeat(images, 1, 1, 1))
        of_points = [
            torch.stack([(x + shift) / stride - columns, y / stride - rows, torch.full_like(rows, logit)])
            for x, y in PLACES.tolist()
        ]
        points.append(torch.cat(of_points)[None].repeat(images, 1, 1, 1))
    return [*boxes, *points]


def loss(outputs, target, sigmas=(0.05, 0.05), **weights):
    of_boxes = DetectionLoss(DEFAULT_LOSS, STRIDES)
    whole = KeypointLoss(of_boxes, sigmas, 1.0, weights.get("oks", 1.0), weights.get("visible", 1.0))
    total, weight = whole(outputs, target)
    without, _ = of_boxes(outputs[:2], target)
    return (total - without) / weight


def test_offsets_are_from_the_center_of_the_cell_in_strides() -> None:
    points, logits = points_of(maps()[2:], STRIDES)
    assert points.shape == (1, 64 + 16, 2, 2)
    torch.testing.assert_close(points[0], PLACES.expand(80, 2, 2))
    assert not logits.any()


def test_the_loss_of_points_is_one_minus_their_similarity() -> None:
    assert loss(maps(), targets([2, 2]), visible=1e-9) == pytest.approx(0, abs=1e-5)
    shift = 2 * 0.05 * 32  # two sigmas: a similarity of exp(-1/2)
    wider = [torch.exp(torch.tensor(-0.5 / factor**2)) for factor in (1, 3, 9)]
    expected = 1 - float(sum(wider)) / 3
    assert loss(maps(shift=shift), targets([2, 2]), visible=1e-9) == pytest.approx(expected, rel=1e-4)
    assert loss(maps(shift=shift), targets([2, 2]), sigmas=(0.05, 0.5), visible=1e-9) < expected


def test_hidden_points_are_learnt_and_others_are_not() -> None:
    target = targets([2, 0])
    moved = maps()
    for values in moved[2:]:
        values[:, 3:5] += 5  # the second point
    assert loss(moved, target, visible=1e-9) == pytest.approx(0, abs=1e-5)
    assert loss(moved, targets([2, 1]), visible=1e-9) > 0.1


def test_visibility_is_whether_a_point_can_be_seen() -> None:
    sure = loss(maps(logit=5.0), targets([2, 2]), oks=1e-9)
    assert sure == pytest.approx(0.0067, abs=1e-3)
    assert loss(maps(logit=5.0), targets([1, 1]), oks=1e-9) == pytest.approx(5.0067, abs=1e-2)
    assert loss(maps(logit=-5.0), targets([2, 0]), oks=1e-9) == pytest.approx(2.5, abs=0.02)


def test_objects_without_a_labelled_point_learn_boxes_only() -> None:
    outputs = [values.requires_grad_() for values in maps(2, shift=3.0, logit=1.0)]
    whole = KeypointLoss(DetectionLoss(DEFAULT_LOSS, STRIDES), (0.05, 0.05), 1.0, 1.0, 1.0)
    whole(outputs, targets([0, 0], [2, 1]))[0].backward()
    for values in outputs[2:]:
        assert not values.grad[0].any()
        assert values.grad[1].any()
    assert all(values.grad[0].any() for values in outputs[:2])


def test_points_far_away_have_a_gradient() -> None:
    outputs = [values.requires_grad_() for values in maps(shift=30.0)]
    KeypointLoss(DetectionLoss(DEFAULT_LOSS, STRIDES), (0.05, 0.05), 1.0, 1.0, 1.0)(outputs, targets([2, 2]))[
        0
    ].backward()
    assert outputs[2].grad[0, 0].abs().max() > 1e-4


def test_batches_without_objects_have_a_loss() -> None:
    kind = Keypoints(Skeleton(("a", "b")))
    nothing = keypoint_target(torch.zeros(0, 4), torch.zeros(0).long(), torch.zeros(0, 2, 3), (64, 64))
    whole = KeypointLoss(DetectionLoss(DEFAULT_LOSS, STRIDES), (0.05, 0.05), 1.0, 1.0, 1.0)
    total, weight = whole(maps(), kind.collate([nothing]))
    assert torch.isfinite(total)
    assert weight == 0
