"""Metrics of segmentation against those of torchmetrics and their formulas."""

import pytest
import torch
from torchmetrics.classification import MulticlassAccuracy, MulticlassConfusionMatrix, MulticlassF1Score
from torchmetrics.classification import MulticlassJaccardIndex as Jaccard

from cuelight.tasks.segmentation.metrics import PixelConfusionMatrix, iou_of_classes, pixel_metrics


def batches(classes=5, count=3, ignored=255, seed=0):
    generator = torch.Generator().manual_seed(seed)
    for _ in range(count):
        masks = torch.randint(0, classes, (2, 6, 7), generator=generator)
        predicted = torch.where(torch.rand(masks.shape, generator=generator) < 0.6, masks, masks.roll(1))
        masks[torch.rand(masks.shape, generator=generator) < 0.2] = ignored
        yield predicted, masks


@pytest.mark.parametrize("ignored", [255, -1, 0])
@pytest.mark.parametrize("deterministic", [False, True])
def test_they_are_those_of_torchmetrics(ignored, deterministic) -> None:
    ours = pixel_metrics(5, ignored, "val/")
    options = {"num_classes": 5, "ignore_index": ignored}
    theirs = {
        "val/mean_iou": Jaccard(5, ignore_index=ignored),
        "val/pixel_accuracy": MulticlassAccuracy(**options, average="micro"),
    }
    if ignored:  # torchmetrics counts a class that is to be ignored into this mean
        theirs["val/dice"] = MulticlassF1Score(**options, average="macro")
    matrix, their_matrix = PixelConfusionMatrix(5, ignored), MulticlassConfusionMatrix(**options)
    torch.use_deterministic_algorithms(deterministic)
    try:
        for predicted, masks in batches(ignored=ignored):
            ours.update(predicted, masks)
            matrix.update(predicted, masks)
            their_matrix.update(predicted, masks)
            for metric in theirs.values():
                metric.update(predicted, masks)
    finally:
        torch.use_deterministic_algorithms(False)
    assert torch.equal(matrix.compute(), their_matrix.compute())
    found = ours.compute()
    assert {name: found[name].item() for name in theirs} == pytest.approx(
        {name: metric.compute().item() for name, metric in theirs.items()}, rel=1e-5
    )


def test_classes_that_are_nowhere_are_left_out_of_the_mean() -> None:
    metrics = pixel_metrics(4, 255, "")
    masks = torch.tensor([[[0, 0, 1, 1]]])
    metrics.update(torch.tensor([[[0, 0, 1, 2]]]), masks)
    found = metrics.compute()
    assert found["mean_iou"].item() == pytest.approx((1 + 0.5 + 0) / 3)  # class 2 is only predicted, class 3 nowhere
    assert found["dice"].item() == pytest.approx((1 + 2 / 3 + 0) / 3)
    assert iou_of_classes(metrics["mean_iou"].confmat).isnan().tolist() == [False, False, False, True]


def test_nothing_counted_is_no_number() -> None:
    metrics = pixel_metrics(3, 255, "")
    metrics.update(torch.zeros(1, 2, 2, dtype=torch.int64), torch.full((1, 2, 2), 255))
    assert all(value.isnan() for value in metrics.compute().values())


def test_pixels_are_counted_once_for_all_metrics_and_anew_after_a_reset() -> None:
    metrics = pixel_metrics(5, 255, "")
    for _ in range(2):
        for predicted, masks in batches():
            metrics.update(predicted, masks)
        known = sum(int((masks != 255).sum()) for _, masks in batches())
        assert {int(metric.confmat.sum()) for metric in metrics.values()} == {known}
        for metric in metrics.values(copy_state=False):  # each by itself, as Lightning does
            metric.reset()
