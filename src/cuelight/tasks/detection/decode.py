"""Decoding of the outputs of a detector, as the YOLO parser of depthai does it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from cuelight.errors import CuelightError
from cuelight.images.preprocessing import Preprocessing
from cuelight.tasks.detection.suppression import suppress

_DECIMALS = 6
_BOX, _SCORE, _CLASSES = slice(0, 4), 4, slice(5, None)  # channels of an output


@dataclass(frozen=True)
class Decoding:
    """How outputs become boxes; the head of an NN Archive has the same values.

    Args:
        strides: Pixels of the model input per cell, for each output.
        conf_threshold: The least score of a box, 0 to 1.
        iou_threshold: A box is dropped if its IoU with a better one is at least this, 0 to 1.
        max_det: The largest number of boxes in an image.
    """

    strides: tuple[int, ...]
    conf_threshold: float
    iou_threshold: float
    max_det: int


@dataclass(frozen=True)
class Candidates:
    """Boxes before suppression, or what remains of them.

    Args:
        boxes: float32 ``(K, 4)``: left, top, right and bottom in pixels.
        scores: float32 ``(K,)``, 0 to 1.
        labels: int64 ``(K,)``, the class of each box.
    """

    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    labels: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.scores)

    def __getitem__(self, chosen: Any) -> Self:
        return replace(self, **{each.name: getattr(self, each.name)[chosen] for each in fields(self)})

    def moved(self, offset: NDArray[Any], factor: NDArray[Any], size: tuple[int, int]) -> Self:
        """Return what is left in an image of a width and height after ``(position - offset) * factor``."""
        corners = np.clip((self.boxes.reshape(-1, 2, 2) - offset) * factor, 0, size).astype(np.float32)
        inside = (corners[:, 1] > corners[:, 0]).all(axis=1)
        return replace(self, boxes=corners.reshape(-1, 4))[inside]


_Found = TypeVar("_Found", bound=Candidates)


@dataclass(frozen=True)
class Detections:
    """The objects found in one image, the highest score first.

    Args:
        found: Their boxes, scores and classes.
        names: The name of each class.
    """

    found: Candidates
    names: tuple[str, ...]

    def row(self) -> dict[str, Any]:
        """Return a table row: the number of ``objects``, those of each class, and the highest ``score``."""
        counts = Counter(self.names[label] for label in self.found.labels.tolist())
        classes = ", ".join(f"{count} x {name}" for name, count in counts.most_common())
        best = round(float(self.found.scores[0]), _DECIMALS) if len(self.found) else 0.0
        return {"objects": len(self.found), "classes": classes, "score": best}

    def summary(self) -> dict[str, Any]:
        """Return :meth:`row`."""
        return self.row()

    def details(self) -> dict[str, Any]:
        """Return all boxes, as left, top, right and bottom in pixels, in plain types for JSON."""
        boxes = [
            {"class": self.names[label], "index": label, "score": score, "box": box}
            for box, score, label in zip(*map(np.ndarray.tolist, self._columns()), strict=True)
        ]
        return {"objects": boxes}

    def coco(self, image_id: int | str) -> list[dict[str, Any]]:
        """Return the boxes in the format of COCO results; ``category_id`` is the index of the class plus 1."""
        return [
            {
                "image_id": image_id,
                "category_id": label + 1,
                "bbox": [left, top, right - left, bottom - top],
                "score": score,
            }
            for (left, top, right, bottom), score, label in zip(*map(np.ndarray.tolist, self._columns()), strict=True)
        ]

    def _columns(self) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
        return self.found.boxes, self.found.scores, self.found.labels


def decode_detection(
    outputs: Mapping[str, NDArray[Any]], class_names: Sequence[str] | None, decoding: Mapping[str, Any] | None
) -> list[Detections]:
    """Return the objects of each image, with boxes in pixels of the model input.

    ``outputs`` are one ``(N, 5 + classes, H, W)`` for each stride, in order; ``decoding`` has the fields of
    :class:`Decoding`. Raises ``CuelightError`` for others, and for values that are not finite.
    """
    if decoding is None:
        raise CuelightError(
            "The model has no strides and thresholds in its metadata, so its boxes cannot be decoded. Give the "
            "module a method `decoding` (cuelight.export.protocols.BringsDecoding) and export it again."
        )
    how = Decoding(**decoding)
    maps = box_maps(outputs, how.strides)
    names = [*(class_names or ())]
    names += [str(index) for index in range(len(names), maps[0].shape[1] - _CLASSES.start)]
    images = zip(*maps, strict=True)
    return [Detections(kept(candidates(of_image, how), how), tuple(names)) for of_image in images]


def resize_boxes(result: Detections, preprocessing: Preprocessing, size: tuple[int, int]) -> Detections:
    """Undo the resizing of the preprocessing for boxes, and clip them to the image; ``size`` is width and height.

    Boxes in the bars of a letterbox are dropped.
    """
    width, height = size
    scaled_height, scaled_width = preprocessing.scaled_size(height, width)
    scaled, fitted = np.array([scaled_width, scaled_height]), np.array(preprocessing.size[::-1])
    # As center_crop rounds, which pads or crops.
    offset = np.where(scaled <= fitted, (fitted - scaled) // 2, -np.round((scaled - fitted) / 2))
    return replace(result, found=result.found.moved(offset, np.array(size) / scaled, size))


def candidates(maps: Sequence[NDArray[Any]], how: Decoding) -> Candidates:
    """Return the boxes of one image with at least the least score, in the order of the cells, before suppression.

    ``maps`` are ``(5 + classes, H, W)`` for each stride. Boxes are clipped to the image first, and empty ones dropped.
    """
    found = [boxes_of_map(values, stride, how.conf_threshold) for values, stride in zip(maps, how.strides, strict=True)]
    boxes, scores, labels, _ = (np.concatenate(parts) for parts in zip(*found, strict=True))
    return Candidates(boxes, scores, labels)


def kept(found: _Found, how: Decoding) -> _Found:
    """Return what is left after the suppression."""
    return found[suppress(found.boxes, found.scores, how.iou_threshold, how.max_det)]


def boxes_of_map(
    values: NDArray[Any], stride: int, threshold: float
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.int64], NDArray[np.int64]]:
    """Return boxes, scores and labels of the cells of a stride with at least a score, and the indices of the cells."""
    rows, columns = np.nonzero(values[_SCORE] >= np.float32(threshold))
    chosen = values[:, rows, columns].astype(np.float32)
    centers = np.stack([columns, rows]).astype(np.float32) + np.float32(0.5)
    size = np.array([[values.shape[2]], [values.shape[1]]], np.float32) * np.float32(stride)
    # In float32 and this order, as on the device: boxes at a threshold must fall on the same side.
    lows, highs = centers - chosen[:2], centers + chosen[2:4]
    lows, highs = (np.clip(side * np.float32(stride), np.float32(0), size) for side in (lows, highs))
    labels = chosen[_CLASSES].argmax(axis=0)
    scores = chosen[_CLASSES].max(axis=0)
    whole = (highs > lows).all(axis=0)
    cells = rows * values.shape[2] + columns
    return np.concatenate([lows, highs]).T[whole], scores[whole], labels[whole], cells[whole]


def box_maps(outputs: Mapping[str, NDArray[Any]], strides: Sequence[int]) -> list[NDArray[Any]]:
    """Return the outputs, one for each stride. Raises ``CuelightError`` for others, and if not finite."""
    maps = list(outputs.values())
    channels = {values.shape[1] for values in maps if values.ndim == 4}  # noqa: PLR2004
    if len(maps) != len(strides) or any(values.ndim != 4 for values in maps) or len(channels) != 1:  # noqa: PLR2004
        shapes = ", ".join(f"{name} {list(values.shape)}" for name, values in outputs.items())
        raise CuelightError(
            f"The task of the model is detection, so expected {len(strides)} outputs (images, 5 + classes, height, "
            f"width), one for each stride of {', '.join(map(str, strides))}; got {shapes}."
        )
    if not all(np.isfinite(values).all() for values in maps):
        raise CuelightError(
            "The outputs of the model contain NaN or infinity: its weights are damaged, or too large for half "
            "precision. Export it again from another checkpoint, or without half_precision."
        )
    return maps
