"""What the outputs of a classifier mean."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cuelight.errors import CuelightError

_TOP = 3
_DECIMALS = 6
_OUTPUT = "logits"


@dataclass(frozen=True)
class ClassScore:
    """How sure a classifier is of a class.

    Args:
        index: The class, in the order of the outputs.
        name: Its name; the index as text if it has none.
        score: Its probability, 0 to 1.
    """

    index: int
    name: str
    score: float


@dataclass(frozen=True)
class Classification:
    """What a classifier sees in one image.

    Args:
        top: The most likely classes, the likeliest first.
    """

    top: tuple[ClassScore, ...]

    def row(self) -> dict[str, Any]:
        """Lay this out as the row of a table.

        Returns:
            The likeliest class and its score as ``class`` and ``score``, the next as ``class_2``, ``score_2`` and so
            on.
        """
        row: dict[str, Any] = {}
        for rank, entry in enumerate(self.top, start=1):
            suffix = "" if rank == 1 else f"_{rank}"
            row |= {f"class{suffix}": entry.name, f"score{suffix}": round(entry.score, _DECIMALS)}
        return row

    def summary(self) -> dict[str, Any]:
        """Lay out the most important as the row of a table that people read: all of :meth:`row`."""
        return self.row()

    def details(self) -> dict[str, Any]:
        """Return all of it in plain types, for JSON.

        Returns:
            The likeliest class, and ``top`` with all that are kept.
        """
        best = self.top[0]
        top = [{"class": entry.name, "index": entry.index, "score": entry.score} for entry in self.top]
        return {"class": best.name, "index": best.index, "score": best.score, "top": top}


def decode_classification(
    outputs: Mapping[str, NDArray[Any]], class_names: Sequence[str] | None = None, top: int = _TOP
) -> list[Classification]:
    """Make classes of the outputs of a classifier.

    Args:
        outputs: ``logits`` ``(N, classes)``, or one output of another name.
        class_names: The name of each class.
        top: How many classes are kept of each image.

    Returns:
        One result for each image.

    Raises:
        CuelightError: There are no such outputs, or they are not finite.
    """
    logits = _logits(outputs)
    scores = softmax(logits)
    names = [*(class_names or ())]
    names += [str(index) for index in range(len(names), logits.shape[1])]
    # A stable sort of what is negated gives the first of equal classes, as argmax does.
    order = np.argsort(-scores, axis=1, kind="stable")[:, :top]
    return [
        Classification(tuple(ClassScore(int(index), names[index], float(of_image[index])) for index in indices))
        for of_image, indices in zip(scores, order, strict=True)
    ]


def softmax(logits: NDArray[Any]) -> NDArray[np.float64]:
    """Turn logits into probabilities.

    Args:
        logits: ``(N, classes)``.

    Returns:
        The same shape, in double precision; each row sums to 1.

    Examples:
        >>> softmax(np.array([[0.0, 0.0]]))
        array([[0.5, 0.5]])
    """
    shifted = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
    exponentials = np.exp(shifted)
    probabilities: NDArray[np.float64] = exponentials / exponentials.sum(axis=1, keepdims=True)
    return probabilities


def _logits(outputs: Mapping[str, NDArray[Any]]) -> NDArray[Any]:
    logits = next(iter(outputs.values())) if len(outputs) == 1 else outputs.get(_OUTPUT)
    if logits is None or logits.ndim != 2:  # noqa: PLR2004
        shapes = ", ".join(f"{name} {list(values.shape)}" for name, values in outputs.items())
        raise CuelightError(
            f"The model says that it classifies, so expected {_OUTPUT} (images, classes); got {shapes}."
        )
    if not np.isfinite(logits).all():
        raise CuelightError(
            "The outputs of the model are not finite, so no class can be told: its weights are broken, or too large "
            "for half precision. Export it again, from another checkpoint or without half_precision."
        )
    return logits
