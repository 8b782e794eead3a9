"""Picture of precision and recall."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from cuelight.tasks.detection.curves import Curves

_MOST_NAMED = 20


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
