import numpy as np
import pytest

from cuelight.tasks.detection.decode import Candidates, Detections
from cuelight.tasks.detection.examples import rank_errors


def test_the_rank_of_an_image_counts_misses_and_sure_false_alarms() -> None:
    boxes = np.array([[0, 0, 10, 10], [40, 40, 50, 50], [0, 0, 0, 0]], np.float32)
    target = {"boxes": boxes, "labels": np.array([0, 1, -1]), "crowd": np.zeros(3, bool)}
    found = Candidates(
        np.array([[0, 0, 10, 10], [70, 70, 80, 80]], np.float32), np.array([0.9, 0.75], np.float32), np.array([0, 0])
    )
    assert rank_errors(target, Detections(found, ("a", "b"))) == pytest.approx(1.75)
    assert rank_errors({name: values[:1] for name, values in target.items()}, Detections(found[:1], ("a", "b"))) == 0
