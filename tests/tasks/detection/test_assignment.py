"""Objects are assigned to the cells that predict them best."""

import pytest
import torch

from cuelight.tasks.detection.assignment import assign
from cuelight.tasks.detection.boxes import cell_centers

SIZE, STRIDES = 64, (8, 16)
MAPS = [torch.zeros(1, 1, SIZE // stride, SIZE // stride) for stride in STRIDES]
CENTERS, CELLS = cell_centers(MAPS, STRIDES)


def target(*boxes, labels=None, crowd=None):
    count = len(boxes)
    return {
        "boxes": torch.tensor(boxes, dtype=torch.float32)[None],
        "labels": torch.tensor(labels or [0] * count)[None],
        "crowd": torch.tensor(crowd or [False] * count)[None],
    }


def assigned(targets, boxes=None, scores=None, topk=4, classes=2):
    """Assign with predictions of one box of 16 x 16 pixels around each cell, all of one score, unless given."""
    boxes = torch.cat([CENTERS - 8, CENTERS + 8], 1)[None] if boxes is None else boxes
    scores = torch.full((1, len(CENTERS), classes), 0.1) if scores is None else scores
    return assign(boxes, scores, CENTERS, targets, topk, 1.0, 6.0)


def test_centers_are_in_the_middle_of_the_cells() -> None:
    assert CENTERS[:9].tolist()[0] == [4, 4]
    assert CENTERS[1].tolist() == [12, 4]
    assert CENTERS[8].tolist() == [4, 12]
    assert CENTERS[64].tolist() == [8, 8]
    assert CELLS[[0, 64]].flatten().tolist() == [8, 16]


def test_the_best_cells_inside_an_object_get_its_box_and_class() -> None:
    found = assigned(target([8.0, 8.0, 40.0, 40.0], labels=[1]))
    positive = found.scores[0, :, 1] > 0
    assert positive.sum() == 4
    assert found.scores[0, :, 0].max() == 0
    inside = ((CENTERS > 8) & (CENTERS < 40)).all(1)
    assert inside[positive].all()
    assert (found.boxes[0, positive] == torch.tensor([8.0, 8.0, 40.0, 40.0])).all()


def test_the_target_score_of_the_best_cell_is_its_iou() -> None:
    boxes = torch.cat([CENTERS - 8, CENTERS + 8], 1)[None].clone()
    boxes[0, 9] = torch.tensor([8.0, 8.0, 24.0, 20.0])  # three quarters of the object
    found = assigned(target([8.0, 8.0, 24.0, 24.0]), boxes)
    assert found.scores[0, 9, 0] == pytest.approx(0.75)
    assert found.scores.max() == found.scores[0, 9, 0]


def test_the_score_counts_in_the_choice() -> None:
    scores = torch.full((1, len(CENTERS), 2), 0.1)
    scores[0, 10, 0] = 0.9
    plain, sure = (assigned(target([4.0, 4.0, 28.0, 28.0]), scores=given, topk=1) for given in (None, scores))
    assert plain.scores[0, :, 0].nonzero().tolist() != sure.scores[0, :, 0].nonzero().tolist()
    assert sure.scores[0, :, 0].nonzero().flatten().tolist() == [10]


def test_a_tiny_object_between_the_centers_gets_the_nearest_cell() -> None:
    found = assigned(target([13.5, 5.0, 15.5, 6.0]))
    assert found.scores[0, :, 0].nonzero().flatten().tolist() == [1]


def test_a_cell_of_two_objects_belongs_to_the_one_with_the_larger_iou() -> None:
    boxes = torch.cat([CENTERS - 8, CENTERS + 8], 1)[None]
    found = assigned(target([4.0, 4.0, 20.0, 20.0], [4.0, 4.0, 44.0, 44.0], labels=[0, 1]), boxes, topk=99)
    same = boxes[0].eq(torch.tensor([4.0, 4.0, 20.0, 20.0])).all(1)
    assert found.scores[0, same].tolist() == [[1.0, 0.0]]
    assert ((found.scores > 0).sum(-1) <= 1).all()


@pytest.mark.parametrize("crowd", [False, True])
def test_cells_in_a_region_to_ignore_are_not_counted_without_an_object(crowd) -> None:
    targets = target([8.0, 8.0, 40.0, 40.0], [16.0, 16.0, 32.0, 32.0], crowd=[crowd, False])
    found = assigned(targets, topk=1)
    inside = ((CENTERS > 8) & (CENTERS < 40)).all(1)
    positive = found.scores[0].sum(-1) > 0
    assert positive.sum() == 2 - crowd
    assert found.counted[0, positive].all()
    assert found.counted[0, ~inside].all()
    assert found.counted[0, inside & ~positive].any() != crowd


def test_without_objects_everything_is_background() -> None:
    found = assigned(target([0.0, 0.0, 0.0, 0.0], labels=[-1]))
    assert found.scores.abs().sum() == 0
    assert found.counted.all()


def test_images_do_not_depend_on_the_padding_of_their_batch() -> None:
    torch.manual_seed(0)
    boxes, scores = torch.rand(2, len(CENTERS), 4).sort(-1).values * SIZE, torch.rand(2, len(CENTERS), 3)
    corners = torch.rand(2, 30, 2, 2).sort(2).values.flatten(2) * SIZE
    labels = torch.randint(0, 3, (2, 30))
    labels[0, 3:] = -1
    whole = {"boxes": corners, "labels": labels, "crowd": torch.zeros(2, 30, dtype=torch.bool)}
    alone = {name: values[:1, :3] for name, values in whole.items()}
    both = assign(boxes, scores, CENTERS, whole, 10, 1.0, 6.0)
    one = assign(boxes[:1], scores[:1], CENTERS, alone, 10, 1.0, 6.0)
    torch.testing.assert_close(both.scores[:1], one.scores, rtol=0, atol=0)
    positive = one.scores.sum(-1) > 0
    torch.testing.assert_close(both.boxes[:1][positive], one.boxes[positive], rtol=0, atol=0)


def test_every_object_of_hundreds_gets_a_cell_if_none_share_it() -> None:
    corners = [[x * 8.0, y * 8.0, x * 8.0 + 8, y * 8.0 + 8] for y in range(8) for x in range(8)] * 5
    boxes = torch.cat([CENTERS - 4, CENTERS + 4], 1)[None]
    found = assigned(target(*corners), boxes, topk=10)
    assert (found.scores[0, :64].sum(-1) > 0).all()
