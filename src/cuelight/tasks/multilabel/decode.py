"""Decoding of the outputs of a multi-label classifier."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cuelight.errors import CuelightError
from cuelight.tasks.classification.decode import ClassScore, scores_of_images

OUTPUT = "probabilities"
_DECIMALS = 4


@dataclass(frozen=True)
class Label(ClassScore):
    """A class with its probability ``score``, the least one of an image that has the class, and whether it has it."""

    threshold: float
    present: bool


@dataclass(frozen=True)
class ImageLabels:
    """All classes with their scores for one image: first those that it has, each part by falling scores."""

    labels: tuple[Label, ...]

    @property
    def present(self) -> tuple[Label, ...]:
        """The classes of the image."""
        return tuple(label for label in self.labels if label.present)

    def row(self) -> dict[str, Any]:
        """Return a table row: the ``labels`` of the image and their ``scores``, joined by ``|``."""
        present = self.present
        scores = "|".join(f"{label.score:.{_DECIMALS}f}" for label in present)
        return {"labels": "|".join(label.name for label in present), "scores": scores}

    def summary(self) -> dict[str, Any]:
        """Return :meth:`row`."""
        return self.row()

    def details(self) -> dict[str, Any]:
        """Return the names of the classes of the image, and all classes, in plain types for JSON."""
        classes = [
            {
                "class": label.name,
                "index": label.index,
                "score": label.score,
                "threshold": label.threshold,
                "present": label.present,
            }
            for label in self.labels
        ]
        return {"labels": [label.name for label in self.present], "classes": classes}


def decode_multilabel(
    outputs: Mapping[str, NDArray[Any]], class_names: Sequence[str] | None, decoding: Mapping[str, Any] | None
) -> list[ImageLabels]:
    """Return the classes of each image.

    ``outputs`` is ``probabilities`` ``(N, classes)``, or one output of another name; ``decoding`` has a list
    ``thresholds`` with the least score of each class. Raises ``CuelightError`` for others, and for values that are not
    finite.
    """
    if decoding is None or "thresholds" not in decoding:
        raise CuelightError(
            "The model has no thresholds in its metadata, so its outputs cannot be decoded. Give the module a method "
            "`decoding` (cuelight.export.protocols.BringsDecoding) and export it again."
        )
    scores, thresholds = scores_of_images(outputs, OUTPUT, "multilabel"), decoding["thresholds"]
    if len(thresholds) != scores.shape[1]:
        raise CuelightError(
            f"The model has {len(thresholds)} thresholds for {scores.shape[1]} classes. Export it again."
        )
    names = [*(class_names or ())]
    names += [str(index) for index in range(len(names), scores.shape[1])]
    present = scores >= np.asarray(thresholds, np.float32)  # as the model is measured
    return [_decode(names, *rows, thresholds) for rows in zip(scores.tolist(), present.tolist(), strict=True)]


def _decode(
    names: Sequence[str], scores: Sequence[float], present: Sequence[bool], thresholds: Sequence[float]
) -> ImageLabels:
    found = zip(names, scores, thresholds, present, strict=True)
    labels = [Label(index, *one) for index, one in enumerate(found)]
    return ImageLabels(tuple(sorted(labels, key=lambda label: (not label.present, -label.score))))
