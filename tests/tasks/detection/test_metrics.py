"""Detection metrics."""

import math

import numpy as np
import pytest
import torch
from torchmetrics.detection import MeanAveragePrecision

from cuelight.tasks.detection.curves import Curves
from cuelight.tasks.detection.decode import Candidates
from cuelight.tasks.detection.matching import IGNORED, NONE, Objects, match
from cuelight.tasks.detection.metrics import BoxConfusionMatrix, DetectionMetrics, Found, PaperMetrics
from cuelight.training.thresholds import THRESHOLDS
from support.ranks import on_ranks

CLASSES = 3
STATES = ("detections", "objects")


def found(*boxes):
    """Boxes with score and class, the best first."""
    table = np.array(boxes, np.float32).reshape(-1, 6)
    return Candidates(table[:, :4], table[:, 4], table[:, 5].astype(np.int64))


def objects(*boxes):
    """Boxes with class, and whether they are regions to ignore."""
    table = np.array(boxes, np.float32).reshape(-1, 6)
    return Objects(table[:, :4], table[:, 4].astype(np.int64), table[:, 5].astype(bool))


def images(count=11, seed=0):
    """Objects, and detections that are near most of them, some of the wrong class; some images have none of either."""
    numbers = np.random.default_rng(seed)
    made = []
    for image in range(count):
        number = 0 if image in (3, 4) else int(numbers.integers(1, 8))
        corners, sizes = numbers.random((number, 2)) * 100, 10 + numbers.random((number, 2)) * 90
        labels = numbers.integers(0, CLASSES, number)
        true = np.column_stack([corners, corners + sizes, labels, numbers.random(number) < 0.15])
        near = np.concatenate([true, true[: number // 2]])
        shifts = numbers.normal(0, 4, (len(near), 4))
        wrong = np.where(numbers.random(len(near)) < 0.2, (near[:, 4] + 1) % CLASSES, near[:, 4])
        # Some scores are equal, in one image and in several.
        boxes = np.column_stack([near[:, :4] + shifts, numbers.integers(1, 21, len(near)) / 20, wrong])
        alone = [[5, 5, 30, 30, 0.3, 1]] if image != 4 else []
        boxes = np.concatenate([boxes, np.reshape(alone, (-1, 6))])
        made.append((found(*boxes[np.argsort(-boxes[:, 4], kind="stable")]), objects(*true)))
    return made


def updated(metric, made, batch_size=4):
    for start in range(0, len(made), batch_size):
        part = made[start : start + batch_size]
        metric.update([Found(one, one) for one, _ in part], [true for _, true in part])
    return metric


def computed(made, batch_size=4):
    metric = updated(DetectionMetrics(CLASSES, 100), made, batch_size)
    return {name: value.item() for name, value in metric.compute().items()}, metric


def on_one_rank(count):
    rank, ranks = torch.distributed.get_rank(), torch.distributed.get_world_size()
    metric = updated(DetectionMetrics(CLASSES, 100), images(count)[rank::ranks])
    return {name: value.item() for name, value in metric.compute().items()}


def test_average_precisions_are_those_of_torchmetrics_and_pycocotools_rules() -> None:
    made = images()
    values, metric = computed(made)
    expected = MeanAveragePrecision(backend="faster_coco_eval", class_metrics=True)
    for one, true in made:
        boxes, scores, labels = map(torch.from_numpy, (one.boxes, one.scores, one.labels))
        crowd = torch.from_numpy(true.crowd.astype(np.int64))
        target = {"boxes": torch.from_numpy(true.boxes), "labels": torch.from_numpy(true.labels), "iscrowd": crowd}
        expected.update([{"boxes": boxes, "scores": scores, "labels": labels}], [target])
    theirs = expected.compute()
    for name in ("map", "map_50", "map_75"):
        assert values[name] == pytest.approx(theirs[name].item(), abs=1e-6)
    assert list(metric.precisions.by_class.values()) == pytest.approx(theirs["map_per_class"].tolist(), abs=1e-6)
    for name, value in metric.precisions.by_size.items():
        known = theirs[f"map_{name}"].item()
        assert value == pytest.approx(known if known >= 0 else math.nan, abs=1e-6, nan_ok=True)


@pytest.mark.parametrize("batch_size", [1, 3, 11])
def test_values_do_not_depend_on_the_batch_size(batch_size) -> None:
    assert computed(images(), batch_size)[0] == computed(images())[0]


@pytest.mark.parametrize("count", [6, 11])
def test_two_processes_measure_as_one(count) -> None:
    values, _ = computed(images(count))
    assert all(theirs == values for theirs in on_ranks(on_one_rank, count))


def alone_on_one_rank(count):
    metric = DetectionMetrics(CLASSES, 100)
    metric.distributed_available_fn = lambda: False  # as for an evaluation by one process of a training
    values = updated(metric, images(count)).compute()
    return {name: value.item() for name, value in values.items()}


def test_one_process_of_several_can_measure_alone() -> None:
    values, _ = computed(images(6))
    assert all(theirs == values for theirs in on_ranks(alone_on_one_rank, 6))


def test_metrics_can_be_reset() -> None:
    metric = updated(DetectionMetrics(CLASSES, 100), images(seed=1))
    metric.compute()
    metric.reset()
    assert {name: value.item() for name, value in updated(metric, images()).compute().items()} == computed(images())[0]


def test_a_split_without_objects_has_no_value() -> None:
    values, metric = computed([(found([1, 1, 9, 9, 0.9, 0]), objects())])
    assert np.isnan([values[name] for name in ("map", "map_50", "map_75", "recall")]).all()
    assert values["precision"] == 0
    assert metric.best_threshold == 0.5


def test_a_model_that_finds_nothing_has_the_value_0() -> None:
    values, metric = computed([(found(), objects([1, 1, 9, 9, 0, 0]))])
    assert [values[name] for name in ("map", "precision", "recall", "f1")] == [0, 0, 0, 0]
    assert metric.best_threshold == 0.5


def test_the_threshold_with_the_best_f1_is_found() -> None:
    made = images()
    values, metric = computed(made)
    matches = [match(*image) for image in made]
    each = [Curves.of(made, matches, CLASSES).at(float(threshold))["f1"] for threshold in THRESHOLDS]
    assert values["f1"] == pytest.approx(max(each))
    assert each[round(metric.best_threshold * 100) - 1] == max(each)


def test_of_equal_thresholds_the_middle_one_is_taken() -> None:
    hit, false = [1, 1, 9, 9, 0.8, 0], [20, 20, 30, 30, 0.2, 0]
    _, metric = computed([(found(hit, false), objects([1, 1, 9, 9, 0, 0]))])
    assert metric.best_threshold == 0.51  # of 0.21 to 0.8


def test_precision_and_recall_are_those_at_the_threshold() -> None:
    true = objects([0, 0, 10, 10, 0, 0], [20, 20, 30, 30, 1, 0])
    boxes = found([0, 0, 10, 10, 0.9, 0], [50, 50, 60, 60, 0.6, 0], [20, 20, 30, 30, 0.3, 1])
    metric = updated(DetectionMetrics(CLASSES, 100), [(boxes, true)])
    metric.threshold = 0.6
    values = metric.compute()
    assert [values[name].item() for name in ("precision", "recall", "f1")] == [0.5, 0.5, 0.5]


def test_each_object_is_found_once_by_the_best_detection_of_its_class() -> None:
    true = objects([0, 0, 10, 10, 0, 0], [40, 40, 50, 50, 1, 0])
    boxes = found([0, 0, 10, 9, 0.9, 0], [0, 0, 10, 10, 0.8, 0], [40, 40, 50, 50, 0.7, 2])
    assert match(boxes, true).tolist() == [0, NONE, NONE]
    assert match(boxes, true, by_class=False).tolist() == [0, NONE, 1]


def test_detections_in_regions_to_ignore_are_not_counted() -> None:
    true = objects([0, 0, 50, 50, 0, 1], [10, 10, 20, 20, 0, 0])
    boxes = found([10, 10, 20, 20, 0.9, 0], [30, 30, 40, 40, 0.8, 0], [30, 30, 40, 40, 0.7, 1], [30, 0, 90, 9, 0.6, 0])
    assert match(boxes, true).tolist() == [0, IGNORED, NONE, NONE]
    assert match(boxes, true, by_class=False).tolist() == [0, IGNORED, IGNORED, NONE]


def test_the_confusion_matrix_has_misses_and_false_alarms() -> None:
    matrix = BoxConfusionMatrix(2)
    true = objects([0, 0, 10, 10, 0, 0], [20, 20, 30, 30, 1, 0], [60, 60, 70, 70, 1, 0])
    boxes = found([0, 0, 10, 10, 0.9, 1], [20, 20, 30, 30, 0.8, 1], [80, 80, 90, 90, 0.7, 0], [60, 60, 70, 70, 0.2, 1])
    updated(matrix, [(boxes, true), (found(), objects())])
    assert matrix.compute().tolist() == [[0, 1, 0], [0, 1, 1], [1, 0, 0]]


def test_the_value_of_papers_is_of_the_suppression_by_class() -> None:
    true = objects([0, 0, 10, 10, 0, 0], [0, 0, 10, 11, 1, 0])
    both = found([0, 0, 10, 10, 0.9, 0], [0, 0, 10, 11, 0.8, 1])
    metric = PaperMetrics()
    metric.update([Found(both[:1], both)], [true])
    assert metric.compute()["map_class_nms"] == pytest.approx(1)
    device = DetectionMetrics(2, 100)
    device.update([Found(both[:1], both)], [true])
    assert device.compute()["map"] == pytest.approx(0.5)


def test_images_of_processes_that_skipped_some_stay_apart() -> None:
    """Process 0 has measured nine images, and process 1 two: the others could not be read there."""
    made = images()
    parts = []
    for rank, part in enumerate((made[:9], made[9:])):
        metric = DetectionMetrics(CLASSES, 100)
        metric._place = lambda rank=rank: (rank, 2)
        parts.append(updated(metric, part))
    joined = DetectionMetrics(CLASSES, 100)
    joined.detections, joined.objects = ([*getattr(parts[0], name), *getattr(parts[1], name)] for name in STATES)
    joined.images = parts[0].images + parts[1].images
    in_turns = [made[index] for index in (0, 9, 1, 10, *range(2, 9))]  # equal scores stay in this order
    values, metric = computed(in_turns)
    assert {name: value.item() for name, value in joined.compute().items()} == pytest.approx(values, abs=1e-6)
    assert [len(found) for found, _ in joined.tables()] == [len(found) for found, _ in metric.tables()]
