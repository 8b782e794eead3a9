"""Metrics of segmentation, all of them out of one confusion matrix of pixels."""

from __future__ import annotations

import torch
from torch import Tensor
from torchmetrics import MetricCollection
from torchmetrics.classification import MulticlassConfusionMatrix


class PixelConfusionMatrix(MulticlassConfusionMatrix):
    """A confusion matrix of pixels, a row for each true class.

    It is that of torchmetrics, which under deterministic algorithms would need memory for the number of pixels times
    the square of the number of classes.

    Args:
        num_classes: Number of classes.
        ignore_index: The value of pixels that do not count.
    """

    confmat: Tensor
    num_classes: int
    ignore_index: int

    def __init__(self, num_classes: int, ignore_index: int) -> None:
        super().__init__(num_classes, ignore_index=ignore_index, validate_args=False)

    def update(self, preds: Tensor, target: Tensor) -> None:
        """Count.

        Args:
            preds: Predicted class of each pixel, int64 ``(N, H, W)``.
            target: True class of each pixel, int64 ``(N, H, W)``.
        """
        cells = self.num_classes**2
        pairs = torch.where(target == self.ignore_index, cells, target * self.num_classes + preds)
        counts = torch.bincount(pairs.flatten(), minlength=cells + 1)[:cells]
        self.confmat += counts.reshape(self.num_classes, self.num_classes)


class MeanIoU(PixelConfusionMatrix):
    """The mean over the classes of the intersection over union of their pixels (P. Jaccard, 1912).

    The pixels of all images are counted before anything is divided. A class that neither the masks nor the
    predictions have is left out of the mean; one that is only predicted counts as 0.
    """

    def compute(self) -> Tensor:
        """Compute the mean.

        Returns:
            A scalar, 0 to 1; NaN if no pixel counts.
        """
        return self._ious().nanmean()

    def _ious(self) -> Tensor:
        """Those of the classes that count; one that is to be ignored is no class."""
        ious = iou_of_classes(self.confmat)
        return ious[torch.arange(self.num_classes, device=ious.device) != self.ignore_index]


class Dice(MeanIoU):
    """The mean over the classes of the Dice coefficient, or F1, of their pixels (L. Dice, 1945); see MeanIoU."""

    def compute(self) -> Tensor:
        """Compute the mean.

        Returns:
            A scalar, 0 to 1; NaN if no pixel counts.
        """
        iou = self._ious()
        return (2 * iou / (1 + iou)).nanmean()


class PixelAccuracy(PixelConfusionMatrix):
    """The share of the pixels that are right."""

    def compute(self) -> Tensor:
        """Compute the share.

        Returns:
            A scalar, 0 to 1; NaN if no pixel counts.
        """
        return self.confmat.trace() / self.confmat.sum()


def iou_of_classes(confusion: Tensor) -> Tensor:
    """Compute the intersection over union of each class.

    Args:
        confusion: Counts ``(classes, classes)``, a row for each true class.

    Returns:
        Float ``(classes,)``, 0 to 1; NaN for a class that is in neither.
    """
    hits = confusion.diagonal()
    return hits / (confusion.sum(0) + confusion.sum(1) - hits)


def pixel_metrics(num_classes: int, ignore_index: int, prefix: str) -> MetricCollection:
    """Make the metrics of a validation or a test; the pixels are counted once for all of them.

    Args:
        num_classes: Number of classes.
        ignore_index: The value of pixels that do not count.
        prefix: What their names begin with, such as ``val/``.

    Returns:
        ``mean_iou``, ``pixel_accuracy`` and ``dice``.
    """
    metrics = {
        "mean_iou": MeanIoU(num_classes, ignore_index),
        "pixel_accuracy": PixelAccuracy(num_classes, ignore_index),
        "dice": Dice(num_classes, ignore_index),
    }
    return MetricCollection(dict(metrics), prefix=prefix, compute_groups=[list(metrics)])
