"""Metrics of points, against values computed by hand."""

import math

import numpy as np
import pytest

from cuelight.tasks.detection.metrics import Found
from cuelight.tasks.keypoints.decode import PointCandidates, PointObjects
from cuelight.tasks.keypoints.metrics import KeypointMetrics, oks_precisions, point_errors

BOXES = np.array([[0, 0, 40, 40], [50, 50, 90, 70]], np.float32)
POINTS = np.array([[[5, 5, 2], [35, 30, 1], [0, 0, 0]], [[55, 55, 2], [80, 60, 2], [70, 65, 2]]], np.float32)
LABELS = np.array([0, 1])


def objects(points=POINTS, crowd=(False, False)):
    return PointObjects(BOXES, LABELS, np.array(crowd), points.astype(np.float32))


def found(shift=0.0, scores=(0.9, 0.8), labels=LABELS):
    points = POINTS + np.array([shift, 0, 0])
    points[..., 2] = 0.5
    return PointCandidates(BOXES, np.array(scores, np.float32), np.array(labels), points.astype(np.float32))


def similarity(shift, box, sigma=0.05, area_share=1.0):
    area = (box[2] - box[0]) * (box[3] - box[1]) * area_share
    return math.exp(-(shift**2) / (2 * area * (2 * sigma) ** 2))


def test_exact_points_have_a_precision_of_1() -> None:
    values = oks_precisions([(found(), objects())], [0.05] * 3, 1.0, 100)
    assert values == {"oks_map": 1.0, "oks_map_50": 1.0, "oks_map_75": 1.0}


@pytest.mark.parametrize("shift", [0.5, 1.5, 3.0, 4.5, 6.0])
@pytest.mark.parametrize("area_share", [1.0, 0.5])
def test_precision_counts_the_similarities_that_are_reached(shift, area_share) -> None:
    values = oks_precisions([(found(shift), objects())], [0.05] * 3, area_share, 100)
    reached = [
        sum(similarity(shift, box, area_share=area_share) >= 0.5 + 0.05 * step - 1e-9 for step in range(10)) / 10
        for box in BOXES
    ]
    assert values["oks_map"] == pytest.approx(np.mean(reached), abs=1e-6)
    first = [similarity(shift, box, area_share=area_share) >= 0.5 for box in BOXES]
    assert values["oks_map_50"] == pytest.approx(np.mean(first), abs=1e-6)


def test_each_point_has_its_sigma() -> None:
    only_second = POINTS.copy()
    only_second[:, [0, 2], 2] = 0
    exact, wide = (
        oks_precisions([(found(5.0), objects(only_second))], [0.05, sigma, 0.05], 1.0, 100)["oks_map"]
        for sigma in (0.05, 0.5)
    )
    assert wide == 1.0
    assert exact < 0.5


def test_objects_without_labelled_points_and_regions_count_nowhere() -> None:
    unlabelled = POINTS.copy()
    unlabelled[1, :, 2] = 0
    for truth in (objects(unlabelled), objects(crowd=(False, True))):
        assert oks_precisions([(found(), truth)], [0.05] * 3, 1.0, 100)["oks_map"] == 1.0
    unlabelled[0, :, 2] = 0
    assert math.isnan(oks_precisions([(found(), objects(unlabelled))], [0.05] * 3, 1.0, 100)["oks_map"])


def test_no_detections_and_wrong_classes_have_a_precision_of_0() -> None:
    nothing = found()[np.zeros(2, bool)]
    assert oks_precisions([(nothing, objects())], [0.05] * 3, 1.0, 100)["oks_map"] == 0
    wrong = found(labels=LABELS[::-1])
    assert oks_precisions([(wrong, objects())], [0.05] * 3, 1.0, 100)["oks_map"] == 0


def test_correct_points_and_distances() -> None:
    errors, pck = point_errors([(found(3.0), objects())], 3, 0.1)  # up to 4 pixels are correct
    assert pck == 1.0
    np.testing.assert_allclose(errors.distance, 3.0)
    errors, pck = point_errors([(found(5.0), objects())], 3, 0.1)
    assert pck == 0
    np.testing.assert_allclose(errors.correct, 0)
    errors, pck = point_errors([(found(3.0)[np.array([1, 0])], objects())], 3, 0.1)  # in another order
    assert pck == 1.0
    np.testing.assert_allclose(errors.distance, 3.0)
    # An object that is not found has no distance, but its points are not correct.
    errors, pck = point_errors([(found()[np.array([True, False])], objects())], 3, 0.1)
    assert pck == pytest.approx(2 / 5)
    assert errors.correct.tolist() == [0.5, 0.5, 0.0]
    assert errors.distance[:2].tolist() == [0, 0]
    assert math.isnan(errors.distance[2])


def test_batches_do_not_matter() -> None:
    whole, parts = (KeypointMetrics([0.05] * 3, 1.0, 0.1, 100) for _ in range(2))
    images = [(found(shift), objects()) for shift in (0.0, 1.0, 2.0, 3.5, 9.0)]
    whole.update([Found(one, one) for one, _ in images], [true for _, true in images])
    for one, true in images:
        parts.update([Found(one, one)], [true])
    assert {name: float(value) for name, value in whole.compute().items()} == {
        name: float(value) for name, value in parts.compute().items()
    }
    assert 0 < float(whole.compute()["oks_map"]) < 1


def test_nothing_measured_is_nan() -> None:
    values = KeypointMetrics([0.05], 1.0, 0.1, 100).compute()
    assert all(math.isnan(value) for value in values.values())
