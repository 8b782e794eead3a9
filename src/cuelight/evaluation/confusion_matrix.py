"""Reading and drawing confusion matrices."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol, TypeGuard, runtime_checkable

import numpy as np
from lightning.pytorch import LightningModule
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import nn
from torchmetrics.classification import MulticlassConfusionMatrix

from cuelight.utils.files import atomic_write

_MOST_NUMBERED = 30  # classes; with more, the cells are too small for numbers
_INCHES_PER_CLASS = 0.42
_SMALLEST, _LARGEST = 4.0, 16.0  # inches
_LARGEST_NUMBER = 9_999  # the largest that fits into a cell
_SMALLEST_SHARE = 0.0005  # smaller ones would read 0.0


@runtime_checkable
class NamesConfusionUnit(Protocol):
    """A module that names what its confusion matrix counts; the default is ``images``."""

    @property
    def confusion_unit(self) -> str:
        """A plural, such as ``pixels``."""


@runtime_checkable
class NamesConfusionClasses(Protocol):
    """A module whose confusion matrix has other rows than its classes, such as one for the background."""

    @property
    def confusion_classes(self) -> Sequence[str]:
        """The name of each row."""


def confusion_matrix(module: LightningModule) -> NDArray[np.int64] | None:
    """Return the confusion matrix of an evaluated module.

    Args:
        module: A module with a ``MulticlassConfusionMatrix`` of torchmetrics.

    Returns:
        Counts ``(classes, classes)``, a row for each true class; ``None`` if there is no such metric with counts.
    """
    for part in module.modules():
        if _is_confusion_matrix(part) and part.update_called and part.normalize is None:
            return np.asarray(part.compute().cpu().numpy().astype(np.int64))
    return None


def draw_confusion_matrix(
    counts: NDArray[np.int64], class_names: Sequence[str] | None, path: Path, unit: str = "images"
) -> None:
    """Draw a confusion matrix as a PNG file.

    Args:
        counts: ``(classes, classes)``, a row for each true class. If a number is too large for its cell, all cells
            show percent of the true class.
        class_names: The name of each class; indices if ``None``.
        path: The file.
        unit: What was counted.
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
    right, total = int(np.trace(counts)), int(counts.sum())
    as_shares = bool(counts.max() > _LARGEST_NUMBER)
    title, note = f"{right} of {total} {unit} right", ""
    if as_shares:
        title = f"{right / max(total, 1):.1%} of {total:,} {unit} right"
        note = "; numbers are percent of the true class"
    axes.set(xlabel=f"predicted class{note}", ylabel="true class", title=title)
    if count <= _MOST_NUMBERED:
        for row, column in np.ndindex(count, count):
            text = _number(int(counts[row, column]), float(shares[row, column]), as_shares)
            color = "white" if shares[row, column] > 0.5 else "black"  # noqa: PLR2004
            axes.text(column, row, text, ha="center", va="center", color=color, fontsize=8)
    with atomic_write(path) as file:
        figure.savefig(file, format="png", dpi=110)


def _is_confusion_matrix(part: nn.Module) -> TypeGuard[MulticlassConfusionMatrix]:
    """Excludes the subclasses that compute something else from the matrix, such as the Jaccard index."""
    return isinstance(part, MulticlassConfusionMatrix) and type(part).compute is MulticlassConfusionMatrix.compute


def _number(count: int, share: float, as_shares: bool) -> str:
    if as_shares:
        return f"{100 * share:.1f}" if share >= _SMALLEST_SHARE else ""
    return str(count) if count else ""
