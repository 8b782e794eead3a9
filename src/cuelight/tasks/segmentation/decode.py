"""Decoding of the outputs of a segmentation model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cuelight.errors import CuelightError
from cuelight.images.preprocessing import IGNORE_INDEX, Preprocessing

UNSEEN = IGNORE_INDEX
"""Mask value of pixels outside the model input: the edges that a crop cuts off."""

_DECIMALS = 6
_OUTPUT = "logits"
_MOST_CLASSES = UNSEEN


@dataclass(frozen=True)
class ClassArea:
    """A class in an image.

    Args:
        index: The class, in the order of the outputs.
        name: Its name; the index as text if it has none.
        share: Its share of the pixels in the model input, 0 to 1.
        score: Mean probability of these pixels, 0 to 1.
    """

    index: int
    name: str
    share: float
    score: float


@dataclass(frozen=True)
class Segmentation:
    """The predicted mask of one image.

    Args:
        mask: The class of each pixel, uint8 ``(H, W)``; 255 outside the model input.
        scores: The probability of that class, float32 ``(H, W)``, 0 to 1; 0 outside the model input.
        names: The name of each class.
    """

    mask: NDArray[np.uint8]
    scores: NDArray[np.float32]
    names: tuple[str, ...]

    @property
    def areas(self) -> list[ClassArea]:
        """The classes in the image, the largest first."""
        pixels = np.bincount(self.mask.ravel(), minlength=len(self.names))[: len(self.names)]
        sums = np.bincount(self.mask.ravel(), self.scores.ravel(), minlength=len(self.names))
        areas = [
            ClassArea(index, self.names[index], pixels[index] / pixels.sum(), sums[index] / pixels[index])
            for index in np.flatnonzero(pixels).tolist()
        ]
        return sorted(areas, key=lambda area: -area.share)

    @property
    def score(self) -> float:
        """Mean probability of all pixels in the model input, 0 to 1.

        A crop to a few pixels, or of a very long image, may leave no pixels; then it is 0.
        """
        seen = self.scores[self.mask != UNSEEN]
        return float(seen.mean(dtype=np.float64)) if seen.size else 0.0

    def row(self) -> dict[str, Any]:
        """Return a table row: :meth:`summary`, and ``share of <class>`` for every class of the model."""
        shares = dict.fromkeys(range(len(self.names)), 0.0) | {area.index: area.share for area in self.areas}
        columns = {f"share of {self.names[index]}": round(share, _DECIMALS) for index, share in shares.items()}
        return {**self.summary(), **columns}

    def summary(self) -> dict[str, Any]:
        """Return a table row: ``classes``, those in the image with their shares, and the mean ``score``."""
        classes = ", ".join(f"{area.name} {area.share:.1%}" for area in self.areas)
        return {"classes": classes, "score": round(self.score, _DECIMALS)}

    def details(self) -> dict[str, Any]:
        """Return the mean score, and the values of each class in the image, in plain types for JSON."""
        classes = [
            {"class": area.name, "index": area.index, "share": area.share, "score": area.score} for area in self.areas
        ]
        return {"score": self.score, "classes": classes}


def decode_segmentation(
    outputs: Mapping[str, NDArray[Any]], class_names: Sequence[str] | None = None
) -> list[Segmentation]:
    """Return the mask of each image, at the size of the output.

    ``outputs`` is ``logits`` ``(N, classes, H, W)``, or one output of another name; raises ``CuelightError`` for
    others, and for values that are not finite.
    """
    logits = _logits(outputs)
    names = [*(class_names or ())]
    names += [str(index) for index in range(len(names), logits.shape[1])]
    return [_decode(of_image, tuple(names)) for of_image in logits]


def resize_mask(result: Segmentation, preprocessing: Preprocessing, size: tuple[int, int]) -> Segmentation:
    """Undo the resizing of the preprocessing for a mask, by nearest neighbors; ``size`` is width and height.

    Pixels that a crop cut off become ``UNSEEN``, and the bars of a letterbox are removed.
    """
    width, height = size
    scaled_height, scaled_width = preprocessing.scaled_size(height, width)
    rows = _places(height, scaled_height, preprocessing.size[0])
    columns = _places(width, scaled_width, preprocessing.size[1])
    seen = (rows >= 0)[:, None] & (columns >= 0)
    where = np.ix_(rows, columns)
    return replace(
        result,
        mask=np.where(seen, result.mask[where], np.uint8(UNSEEN)),
        scores=np.where(seen, result.scores[where], np.float32(0)),
    )


def _decode(logits: NDArray[Any], names: tuple[str, ...]) -> Segmentation:
    mask = logits.argmax(axis=0)
    largest = logits.max(axis=0).astype(np.float32)
    # Softmax of the likeliest class, whose exponential is 1 after subtracting the largest logit.
    scores = 1 / np.exp(logits.astype(np.float32) - largest).sum(axis=0)
    return Segmentation(mask.astype(np.uint8), scores.astype(np.float32), names)


def _logits(outputs: Mapping[str, NDArray[Any]]) -> NDArray[Any]:
    logits = next(iter(outputs.values())) if len(outputs) == 1 else outputs.get(_OUTPUT)
    if logits is None or logits.ndim != 4:  # noqa: PLR2004
        shapes = ", ".join(f"{name} {list(values.shape)}" for name, values in outputs.items())
        raise CuelightError(
            f"The task of the model is segmentation, so expected {_OUTPUT} (images, classes, height, width); got "
            f"{shapes}."
        )
    if logits.shape[1] > _MOST_CLASSES:
        raise CuelightError(f"A mask holds up to {_MOST_CLASSES} classes; the model has {logits.shape[1]}.")
    if not np.isfinite(logits).all():
        raise CuelightError(
            "The outputs of the model contain NaN or infinity: its weights are damaged, or too large for half "
            "precision. Export it again from another checkpoint, or without half_precision."
        )
    return logits


def _places(length: int, scaled: int, fitted: int) -> NDArray[np.int64]:
    """Return the position in the model input of each pixel along one side of an image; -1 if it is outside."""
    offset = (fitted - scaled) // 2 if scaled <= fitted else -round((scaled - fitted) / 2)  # as center_crop rounds
    places = (2 * np.arange(length) + 1) * scaled // (2 * length) + offset
    return np.where((places >= 0) & (places < fitted), places, -1)
