"""Non-maximum suppression."""

import time

import numpy as np
import pytest
import torch
from torchvision.ops import batched_nms, nms

from cuelight.tasks.detection.suppression import suppress, suppress_by_class


def crowded(count, seed=0):
    numbers = np.random.default_rng(seed)
    places = numbers.integers(0, max(1, count // 10), count)
    corners = numbers.random((count, 2))[places] * 500 + numbers.normal(0, 4, (count, 2))
    sizes = 20 + numbers.random((count, 2))[places] * 60
    boxes = np.concatenate([corners, corners + sizes], 1).astype(np.float32)
    return boxes, numbers.random(count).astype(np.float32), numbers.integers(0, 5, count)


@pytest.mark.parametrize("count", [0, 1, 2, 127, 128, 129, 1000])
def test_the_boxes_of_torchvision_are_kept(count) -> None:
    boxes, scores, labels = crowded(count)
    given = torch.from_numpy(boxes), torch.from_numpy(scores)
    assert suppress(boxes, scores, 0.5, 10_000).tolist() == nms(*given, 0.5).tolist()
    by_class = batched_nms(*given, torch.from_numpy(labels), 0.5)
    assert suppress_by_class(boxes, scores, labels, 0.5, 10_000).tolist() == by_class.tolist()


def test_the_first_of_equal_scores_is_kept() -> None:
    boxes = np.array([[0, 0, 10, 10], [1, 0, 11, 10], [50, 50, 60, 60]], np.float32)
    assert suppress(boxes, np.full(3, 0.5, np.float32), 0.5, 10).tolist() == [0, 2]


@pytest.mark.parametrize("most", [1, 5, 200])
def test_at_most_max_det_boxes_are_kept(most) -> None:
    boxes, scores, labels = crowded(1000)
    assert suppress(boxes, scores, 0.5, most).tolist() == suppress(boxes, scores, 0.5, 10_000)[:most].tolist()
    whole = suppress_by_class(boxes, scores, labels, 0.5, 10_000)
    assert suppress_by_class(boxes, scores, labels, 0.5, most).tolist() == whole[:most].tolist()


def test_all_candidates_of_a_large_image_are_faster_than_in_torchvision() -> None:
    boxes, scores, _ = crowded(8400)
    given = torch.from_numpy(boxes), torch.from_numpy(scores)

    def shortest(function):
        def seconds():
            start = time.thread_time()
            function()
            return time.thread_time() - start

        return min(seconds() for _ in range(5))

    assert shortest(lambda: suppress(boxes, scores, 0.5, 300)) < shortest(lambda: nms(*given, 0.5))
