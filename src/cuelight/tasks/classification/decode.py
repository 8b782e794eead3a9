"""Decoding of the outputs of a classifier."""

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
    """A class with its probability ``score``, 0 to 1; ``name`` is the index as text if the class has none."""

    index: int
    name: str
    score: float


@dataclass(frozen=True)
class Classification:
    """The most likely classes of one image, the likeliest first."""

    top: tuple[ClassScore, ...]

    def row(self) -> dict[str, Any]:
        """Return a table row: ``class`` and ``score`` of the likeliest class, then ``class_2``, ``score_2``, ..."""
        row: dict[str, Any] = {}
        for rank, entry in enumerate(self.top, start=1):
            suffix = "" if rank == 1 else f"_{rank}"
            row |= {f"class{suffix}": entry.name, f"score{suffix}": round(entry.score, _DECIMALS)}
        return row

    def summary(self) -> dict[str, Any]:
        """Return :meth:`row`."""
        return self.row()

    def details(self) -> dict[str, Any]:
        """Return the likeliest class, and all classes as ``top``, in plain types for JSON."""
        best = self.top[0]
        top = [{"class": entry.name, "index": entry.index, "score": entry.score} for entry in self.top]
        return {"class": best.name, "index": best.index, "score": best.score, "top": top}


def decode_classification(
    outputs: Mapping[str, NDArray[Any]], class_names: Sequence[str] | None = None
) -> list[Classification]:
    """Return the three most likely classes of each image.

    ``outputs`` is ``logits`` ``(N, classes)``, or one output of another name; raises ``CuelightError`` for others,
    and for values that are not finite.
    """
    logits = scores_of_images(outputs, _OUTPUT, "classification")
    scores = softmax(logits)
    names = [*(class_names or ())]
    names += [str(index) for index in range(len(names), logits.shape[1])]
    # A stable sort of the negated scores puts the first of equal classes first, as argmax does.
    order = np.argsort(-scores, axis=1, kind="stable")[:, :_TOP]
    return [
        Classification(tuple(ClassScore(int(index), names[index], float(of_image[index])) for index in indices))
        for of_image, indices in zip(scores, order, strict=True)
    ]


def softmax(logits: NDArray[Any]) -> NDArray[np.float64]:
    """Return the probabilities of logits ``(N, classes)``, in double precision.

    Examples:
        >>> softmax(np.array([[0.0, 0.0]]))
        array([[0.5, 0.5]])
    """
    shifted = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
    exponentials = np.exp(shifted)
    probabilities: NDArray[np.float64] = exponentials / exponentials.sum(axis=1, keepdims=True)
    return probabilities


def scores_of_images(outputs: Mapping[str, NDArray[Any]], name: str, task: str) -> NDArray[Any]:
    """Return the output with a number for each class, ``(N, classes)``: the one of a name, or the only one.

    Raises ``CuelightError`` if there is none, or its values are not finite; ``task`` is for the message.
    """
    scores = next(iter(outputs.values())) if len(outputs) == 1 else outputs.get(name)
    if scores is None or scores.ndim != 2:  # noqa: PLR2004
        shapes = ", ".join(f"{other} {list(values.shape)}" for other, values in outputs.items())
        raise CuelightError(f"The task of the model is {task}, so expected {name} (images, classes); got {shapes}.")
    if not np.isfinite(scores).all():
        raise CuelightError(
            "The outputs of the model contain NaN or infinity: its weights are damaged, or too large for half "
            "precision. Export it again from another checkpoint, or without half_precision."
        )
    return scores
