"""Segmentation metrics, all computed from one confusion matrix of pixels."""

from __future__ import annotations

import torch
from torch import Tensor
from torchmetrics import MetricCollection
from torchmetrics.classification import MulticlassConfusionMatrix


class PixelConfusionMatrix(MulticlassConfusionMatrix):
    """Confusion matrix of pixels, a row for each true class; pixels of ``ignore_index`` are not counted.

    Under deterministic algorithms, that of torchmetrics needs memory for the number of pixels times the square of the
    number of classes.
    """

    confmat: Tensor
    num_classes: int
    ignore_index: int

    def __init__(self, num_classes: int, ignore_index: int) -> None:
        super().__init__(num_classes, ignore_index=ignore_index, validate_args=False)

    def update(self, preds: Tensor, target: Tensor) -> None:
        """Count the predicted and true class of each pixel, int64 ``(N, H, W)``."""
        cells = self.num_classes**2
        pairs = torch.where(target == self.ignore_index, cells, target * self.num_classes + preds)
        counts = torch.bincount(pairs.flatten(), minlength=cells + 1)[:cells]
        self.confmat += counts.reshape(self.num_classes, self.num_classes)


class MeanIoU(PixelConfusionMatrix):
    """Mean over the classes of the intersection over union of their pixels (P. Jaccard, 1912).

    It is computed from the pixels of all images. A class that is neither in the masks nor predicted is excluded from
    the mean; the value of one that is only predicted is 0.
    """

    def compute(self) -> Tensor:
        """Return the mean, 0 to 1; NaN if no pixel was counted."""
        return self._ious().nanmean()

    def _ious(self) -> Tensor:
        """Return the IoU of each class but ``ignore_index``."""
        ious = iou_of_classes(self.confmat)
        return ious[torch.arange(self.num_classes, device=ious.device) != self.ignore_index]


class Dice(MeanIoU):
    """Mean over the classes of the Dice coefficient, or F1, of their pixels (L. Dice, 1945); see MeanIoU."""

    def compute(self) -> Tensor:
        """Return the mean, 0 to 1; NaN if no pixel was counted."""
        iou = self._ious()
        return (2 * iou / (1 + iou)).nanmean()


class PixelAccuracy(PixelConfusionMatrix):
    """Share of correctly predicted pixels."""

    def compute(self) -> Tensor:
        """Return the share, 0 to 1; NaN if no pixel was counted."""
        return self.confmat.trace() / self.confmat.sum()


def iou_of_classes(confusion: Tensor) -> Tensor:
    """Return the intersection over union of each class; NaN for a class with an empty row and column."""
    hits = confusion.diagonal()
    return hits / (confusion.sum(0) + confusion.sum(1) - hits)


def pixel_metrics(num_classes: int, ignore_index: int, prefix: str) -> MetricCollection:
    """Return ``mean_iou``, ``pixel_accuracy`` and ``dice`` with a prefix, such as ``val/``, and a shared state."""
    metrics = {
        "mean_iou": MeanIoU(num_classes, ignore_index),
        "pixel_accuracy": PixelAccuracy(num_classes, ignore_index),
        "dice": Dice(num_classes, ignore_index),
    }
    return MetricCollection(dict(metrics), prefix=prefix, compute_groups=[list(metrics)])
