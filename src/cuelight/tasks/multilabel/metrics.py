"""Mean average precision and F1 of labels, and the thresholds with the best F1."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.functional.classification import binary_average_precision

from cuelight.data.targets.multi_labels import PRESENT, UNKNOWN
from cuelight.training.thresholds import THRESHOLDS, WITHOUT_HITS, best_threshold

Table = NDArray[np.float32]


class LabelMetrics(Metric):
    """Mean average precision and F1 of each class, over the images whose label of it is known.

    Both means are over the classes that at least one image has.

    Args:
        num_classes: Number of classes.

    Attributes:
        thresholds: The least score of each class for F1; if ``None``, those with the best F1 are taken.
        best_thresholds: Those with the best F1, after ``compute``.
        precisions: The average precision of each class, NaN without images that have it, after ``compute``.
        f1: The F1 of each class, in the same way.
    """

    full_state_update = False
    scores: list[Tensor]
    labels: list[Tensor]

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.num_classes = num_classes
        # Flat, so that they are gathered even if a process has none.
        self.add_state("scores", [], dist_reduce_fx="cat")
        self.add_state("labels", [], dist_reduce_fx="cat")
        self.thresholds: Sequence[float] | None = None
        self.best_thresholds = [WITHOUT_HITS] * num_classes
        self.precisions: list[float] = []
        self.f1: list[float] = []

    def update(self, preds: Tensor, target: Tensor) -> None:
        """Add probabilities and labels ``(N, C)``."""
        self.scores.append(preds.flatten())
        self.labels.append(target.flatten())

    def compute(self) -> dict[str, Tensor]:
        """Return ``map`` and ``f1``; NaN if no image has a class."""
        scores, labels = self._table(self.scores), self._table(self.labels)
        self.best_thresholds = best_thresholds(scores, labels)
        thresholds = self.best_thresholds if self.thresholds is None else self.thresholds
        self.precisions = [average_precision(*column) for column in zip(scores.T, labels.T, strict=True)]
        self.f1 = f1_scores(scores, labels, np.array(thresholds, np.float32)).tolist()
        return {"map": torch.tensor(self.precisions).nanmean(), "f1": torch.tensor(self.f1).nanmean()}

    def _table(self, state: Any) -> Table:
        parts = [state] if isinstance(state, Tensor) else state  # a tensor once the processes have been joined
        table: Table = torch.cat([*parts, torch.zeros(0, device=self.device)]).cpu().float().numpy()
        return table.reshape(-1, self.num_classes)


def average_precision(scores: Table, labels: Table) -> float:
    """Return the average precision of a class from scores and labels ``(N,)``; NaN if no image has it."""
    known = labels != UNKNOWN
    if not (labels == PRESENT).any() or not np.isfinite(scores).all():
        return math.nan
    preds, target = torch.from_numpy(scores[known]), torch.from_numpy(labels[known]).long()
    return float(binary_average_precision(preds, target, validate_args=False))


def f1_scores(scores: Table, labels: Table, thresholds: Table | np.float32) -> NDArray[np.float64]:
    """Return the F1 of each class, from scores and labels ``(N, C)``; NaN if no image has it."""
    present = labels == PRESENT
    found = (scores >= thresholds) & (labels != UNKNOWN)
    hits, counted = (found & present).sum(axis=0), found.sum(axis=0) + present.sum(axis=0)
    f1: NDArray[np.float64] = np.where(present.any(axis=0), 2 * hits / np.maximum(counted, 1), np.nan)
    return f1


def best_thresholds(scores: Table, labels: Table) -> list[float]:
    """Return the threshold of each class with the best F1, see :func:`best_threshold`."""
    known, present = labels != UNKNOWN, labels == PRESENT
    # The number of thresholds that a score reaches; NaN reaches none.
    bins = np.where(np.isnan(scores), 0, np.searchsorted(THRESHOLDS, scores, side="right"))
    counts = np.zeros((2, labels.shape[1], len(THRESHOLDS) + 1), np.int64)
    _, classes = np.nonzero(known)
    np.add.at(counts, (present[known].astype(np.int64), classes, bins[known]), 1)
    false, hits = counts[..., ::-1].cumsum(axis=-1)[..., ::-1][..., 1:]
    f1 = 2 * hits / np.maximum(hits + false + present.sum(axis=0)[:, None], 1)
    return [best_threshold(of_class) for of_class in f1]
