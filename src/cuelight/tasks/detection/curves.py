"""Precision and recall at every threshold."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from cuelight.tasks.detection.decode import Candidates
from cuelight.tasks.detection.matching import IGNORED, Objects
from cuelight.training.thresholds import THRESHOLDS, best_threshold

_MOST_NAMED = 20


class Curves(NamedTuple):
    """Counts of each class ``(classes, thresholds)`` of detections with at least each of ``THRESHOLDS``.

    ``objects`` is the number of objects ``(classes,)``.
    """

    hits: NDArray[np.int64]
    false: NDArray[np.int64]
    objects: NDArray[np.int64]
    scores: NDArray[np.float32]  # of the detections that are not ignored
    is_hit: NDArray[np.bool_]

    @classmethod
    def of(
        cls, images: Sequence[tuple[Candidates, Objects]], matches: Sequence[NDArray[np.int64]], num_classes: int
    ) -> Curves:
        """Count the detections of all images."""
        found = np.concatenate([np.zeros(0, np.int64), *matches])
        scores, labels = (
            np.concatenate([np.zeros(0), *(getattr(one, name) for one, _ in images)]) for name in ("scores", "labels")
        )
        kept = found != IGNORED
        scores, labels, is_hit = scores[kept].astype(np.float32), labels[kept].astype(np.int64), found[kept] >= 0
        true = np.concatenate([np.zeros(0, np.int64), *(objects.counted.labels for _, objects in images)])
        bins = np.searchsorted(THRESHOLDS, scores, side="right")  # the number of thresholds that it reaches
        counts = np.zeros((2, num_classes, len(THRESHOLDS) + 1), np.int64)
        np.add.at(counts, (is_hit.astype(np.int64), labels, bins), 1)
        false, hits = counts[..., ::-1].cumsum(axis=-1)[..., ::-1][..., 1:]
        return cls(hits, false, np.bincount(true, minlength=num_classes), scores, is_hit)

    def best_threshold(self) -> float:
        """Return the threshold with the best F1 of all classes together, see :func:`best_threshold`."""
        hits, false = self.hits.sum(axis=0), self.false.sum(axis=0)
        f1 = 2 * hits / np.maximum(hits + false + self.objects.sum(), 1)
        return best_threshold(f1)

    def at(self, threshold: float) -> dict[str, float]:
        """Return precision, recall and F1 of all classes together; NaN if there is nothing to count."""
        reached = self.scores >= np.float32(threshold)
        hits, count, objects = int(self.is_hit[reached].sum()), int(reached.sum()), int(self.objects.sum())
        return {
            "precision": _ratio(hits, count) if count or not objects else 0.0,
            "recall": _ratio(hits, objects),
            "f1": _ratio(2 * hits, count + objects),
        }


def draw_curves(curves: Curves, class_names: Sequence[str], threshold: float) -> Image.Image:
    """Draw precision over recall of each class at an IoU of 0.5, and of all together with a point at the threshold."""
    figure = Figure(figsize=(7, 5), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    with np.errstate(invalid="ignore"):
        precisions, recalls = curves.hits / (curves.hits + curves.false), curves.hits / curves.objects[:, None]
    for label, name in enumerate(class_names):
        if curves.objects[label]:
            axes.plot(recalls[label], precisions[label], linewidth=1, alpha=0.6, label=name)
    hits, false, objects = curves.hits.sum(axis=0), curves.false.sum(axis=0), max(int(curves.objects.sum()), 1)
    found = hits + false > 0
    axes.plot((hits / objects)[found], (hits[found] / (hits + false)[found]), "k", linewidth=2.5, label="all")
    chosen = curves.at(threshold)
    axes.plot(chosen["recall"], chosen["precision"], "ko", markersize=8)
    title = f"threshold {threshold:.2f}: precision {chosen['precision']:.3f}, recall {chosen['recall']:.3f}"
    axes.set(xlabel="recall", ylabel="precision", title=title, xlim=(0, 1.02), ylim=(0, 1.02))
    if len(class_names) <= _MOST_NAMED:
        figure.legend(fontsize=8, loc="outside right upper")
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=110)
    file.seek(0)
    return Image.open(file).convert("RGB")


def _ratio(part: int, whole: int) -> float:
    return part / whole if whole else float("nan")
