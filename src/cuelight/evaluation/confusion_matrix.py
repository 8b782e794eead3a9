"""Which classes a model takes for which others."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from lightning.pytorch import LightningModule
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torchmetrics.classification import MulticlassConfusionMatrix

from cuelight.files import atomic_write

_MOST_NUMBERED = 30  # classes; above, numbers in the cells cannot be read
_INCHES_PER_CLASS = 0.42
_SMALLEST, _LARGEST = 4.0, 16.0


def confusion_matrix(module: LightningModule) -> NDArray[np.int64] | None:
    """Read the confusion matrix of a module that counted one while it was measured.

    Args:
        module: A module with a ``MulticlassConfusionMatrix`` of torchmetrics.

    Returns:
        Counts ``(classes, classes)``, a row for each true class; ``None`` if there is no such metric with counts.
    """
    for part in module.modules():
        if isinstance(part, MulticlassConfusionMatrix) and part.update_called and part.normalize is None:
            return np.asarray(part.compute().cpu().numpy().astype(np.int64))
    return None


def draw_confusion_matrix(counts: NDArray[np.int64], class_names: Sequence[str] | None, path: Path) -> None:
    """Draw a confusion matrix as a PNG file.

    Args:
        counts: ``(classes, classes)``, a row for each true class.
        class_names: The name of each class; numbers if left out.
        path: The file.
    """
    count = len(counts)
    names = list(class_names or map(str, range(count)))
    side = min(max(_INCHES_PER_CLASS * count, _SMALLEST), _LARGEST)
    figure = Figure(figsize=(side + 1.5, side + 1), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    figure.colorbar(image, label="share of the true class", shrink=0.8)
    ticks = range(0, count, max(1, round(count / 60)))
    axes.set_xticks(ticks, [names[tick] for tick in ticks], rotation=90 if max(map(len, names)) > 2 else 0)  # noqa: PLR2004
    axes.set_yticks(ticks, [names[tick] for tick in ticks])
    axes.set(xlabel="predicted class", ylabel="true class", title=f"{np.trace(counts)} of {counts.sum()} right")
    if count <= _MOST_NUMBERED:
        for row, column in np.ndindex(count, count):
            if counts[row, column]:
                color = "white" if shares[row, column] > 0.5 else "black"  # noqa: PLR2004
                axes.text(column, row, str(counts[row, column]), ha="center", va="center", color=color, fontsize=8)
    with atomic_write(path) as file:
        figure.savefig(file, format="png", dpi=110)
