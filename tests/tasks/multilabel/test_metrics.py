"""Average precision, F1 and thresholds of labels."""

import math

import numpy as np
import pytest
import torch
from torchmetrics.functional.classification import multilabel_average_precision, multilabel_f1_score

from cuelight.tasks.multilabel.metrics import LabelMetrics, best_thresholds
from support.ranks import on_ranks


def numbers(count=60, classes=4, unknown=0.0, seed=0):
    generator = torch.Generator().manual_seed(seed)
    labels = (torch.rand(count, classes, generator=generator) < 0.4).float()
    scores = (0.3 * labels + 0.7 * torch.rand(count, classes, generator=generator)).clamp(0.001, 0.999)
    labels[torch.rand(count, classes, generator=generator) < unknown] = -1
    return scores, labels


def measured(scores, labels, batch_size=16, thresholds=None):
    metric = LabelMetrics(scores.shape[1])
    metric.thresholds = thresholds
    for part in zip(scores.split(batch_size), labels.split(batch_size), strict=True):
        metric.update(*part)
    return metric, {name: value.item() for name, value in metric.compute().items()}


@pytest.mark.parametrize("unknown", [0.0, 0.3])
def test_they_are_those_of_torchmetrics(unknown) -> None:
    scores, labels = numbers(unknown=unknown)
    metric, values = measured(scores, labels, thresholds=[0.5] * 4)
    options = {"num_labels": 4, "average": "none", "ignore_index": -1}
    precisions = multilabel_average_precision(scores, labels.long(), **options)
    f1 = multilabel_f1_score(scores, labels.long(), **options)
    assert metric.precisions == pytest.approx(precisions.tolist())
    assert metric.f1 == pytest.approx(f1.tolist())
    assert values == pytest.approx({"map": precisions.mean().item(), "f1": f1.mean().item()})


def test_values_of_unknown_labels_do_not_matter() -> None:
    scores, labels = numbers(unknown=0.3)
    other = torch.where(labels < 0, 1 - scores, scores)
    assert measured(scores, labels)[1] == measured(other, labels)[1]
    assert best_thresholds(scores.numpy(), labels.numpy()) == best_thresholds(other.numpy(), labels.numpy())


@pytest.mark.parametrize("batch_size", [1, 7, 60])
def test_they_do_not_depend_on_the_batch_size(batch_size) -> None:
    assert measured(*numbers(), batch_size)[1] == measured(*numbers())[1]


def test_classes_that_no_image_has_are_left_out_of_the_means() -> None:
    scores, labels = numbers()
    labels[:, 1], labels[:, 2] = 0, -1
    metric, values = measured(scores, labels)
    assert [math.isnan(value) for value in metric.precisions] == [False, True, True, False]
    assert [math.isnan(value) for value in metric.f1] == [False, True, True, False]
    assert values["map"] == pytest.approx((metric.precisions[0] + metric.precisions[3]) / 2)
    assert values["f1"] == pytest.approx((metric.f1[0] + metric.f1[3]) / 2)
    assert metric.best_thresholds[1:3] == [0.5, 0.5]


@pytest.mark.parametrize("labels", [torch.zeros(3, 2), torch.full((3, 2), -1.0), torch.zeros(0, 2)])
def test_nothing_to_measure_is_no_number(labels) -> None:
    metric, values = measured(torch.rand(len(labels), 2), labels)
    assert all(map(math.isnan, values.values()))
    assert metric.best_thresholds == [0.5, 0.5]


def test_scores_that_are_no_numbers_show() -> None:
    scores, labels = numbers()
    scores[3, 1] = math.nan
    assert [math.isnan(value) for value in measured(scores, labels)[0].precisions] == [False, True, False, False]


def test_the_threshold_of_a_class_has_the_best_f1() -> None:
    scores, labels = numbers(400)
    found = best_thresholds(scores.numpy(), labels.numpy())
    assert len(set(found)) > 1
    best = measured(scores, labels, thresholds=found)[0].f1
    for threshold in np.arange(1, 100) / 100:
        of_all = measured(scores, labels, thresholds=[threshold] * 4)[0].f1
        assert all(one >= other - 1e-9 for one, other in zip(best, of_all, strict=True)), threshold


def test_of_equal_thresholds_the_middle_one_is_taken() -> None:
    scores, labels = torch.tensor([[0.2], [0.8]]), torch.tensor([[0.0], [1.0]])
    assert best_thresholds(scores.numpy(), labels.numpy()) == [0.51]
    scores = torch.tensor([[0.04], [0.1]])
    assert best_thresholds(scores.numpy(), labels.numpy()) == [0.08]


def of_rank(scores, labels, counts):
    rank = torch.distributed.get_rank()
    start = sum(counts[:rank])
    part = slice(start, start + counts[rank])
    return measured(scores[part], labels[part])[1]


@pytest.mark.parametrize("counts", [(20, 40), (60, 0)])
def test_all_processes_count(counts) -> None:
    scores, labels = numbers()
    whole = pytest.approx(measured(scores, labels)[1])
    assert on_ranks(of_rank, scores, labels, counts) == [whole, whole]
