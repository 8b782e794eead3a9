"""Boxes are moved from the model input to the image: what BOXES does to a target is undone."""

import numpy as np
import pytest
import torch

from cuelight.data.targets.boxes import Boxes, box_target
from cuelight.images.preprocessing import Preprocessing
from cuelight.tasks.detection.decode import Candidates, Detections, resize_boxes


def detections(boxes):
    count = len(boxes)
    found = Candidates(boxes, np.full(count, 0.5, np.float32), np.arange(count))
    return Detections(found, tuple(map(str, range(count))))


@pytest.mark.parametrize("resize", ["stretch", "letterbox", "crop"])
@pytest.mark.parametrize("size", [(640, 480), (333, 500), (64, 64), (20, 31), (1000, 90)])
def test_boxes_come_back_where_they_were(resize, size) -> None:
    width, height = size
    middle = torch.tensor([width, height, width, height]) / 2
    boxes = middle + torch.tensor([[-0.05, -0.05, 0.05, 0.05], [-0.04, 0, 0, 0.03]]) * min(size)
    preprocessing = Preprocessing((96, 128), resize=resize)
    fitted = Boxes().fit(box_target(boxes, torch.arange(2), (height, width)), preprocessing)
    found = resize_boxes(detections(fitted["boxes"].numpy()), preprocessing, size).found
    np.testing.assert_allclose(found.boxes, boxes, atol=1e-2)
    assert found.labels.tolist() == [0, 1]


def test_boxes_in_the_bars_of_a_letterbox_are_dropped_and_others_clipped() -> None:
    boxes = np.array([[0, 0, 100, 20], [10, 10, 60, 90]], np.float32)
    found = resize_boxes(detections(boxes), Preprocessing((100, 100), resize="letterbox"), (200, 100)).found
    assert found.boxes.tolist() == [[20, 0, 120, 100]]
    assert found.labels.tolist() == [1]
