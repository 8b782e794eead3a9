"""Decoding of boxes with points, as the YOLO parser of depthai does it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from cuelight.errors import CuelightError
from cuelight.tasks.detection.decode import Candidates, Decoding, Detections, box_maps, boxes_of_map, kept
from cuelight.tasks.detection.matching import Objects

_CHANNELS = 3  # of a point: x, y and the logit of its visibility


@dataclass(frozen=True)
class KeypointDecoding(Decoding):
    """How outputs become boxes with points; the head of an NN Archive has the same values.

    Args:
        keypoint_label_names: The name of each point.
        skeleton_edges: The points that are joined by a line, as pairs of indices.
    """

    keypoint_label_names: tuple[str, ...]
    skeleton_edges: tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class PointCandidates(Candidates):
    """Boxes with their points.

    Args:
        points: float32 ``(n, K, 3)``: x and y in pixels, and the probability that the point is visible.
    """

    points: NDArray[np.float32]

    def moved(self, offset: NDArray[Any], factor: NDArray[Any], size: tuple[int, int]) -> Self:
        """Return what is left in an image of a width and height after ``(position - offset) * factor``."""
        places = np.clip((self.points[..., :2] - offset) * factor, 0, size)
        points = np.concatenate([places, self.points[..., 2:]], axis=-1).astype(np.float32)
        return super(PointCandidates, replace(self, points=points)).moved(offset, factor, size)


@dataclass(frozen=True)
class PointObjects(Objects):
    """The true objects of an image.

    Args:
        points: float32 ``(G, K, 3)``: x and y in pixels, and the visibility: 0 without a label, 1 hidden, 2 visible.
    """

    points: NDArray[np.float32]


@dataclass(frozen=True)
class KeypointDetections(Detections):
    """The objects found in one image, the highest score first.

    Args:
        how: Has the names and the edges of the points.
    """

    found: PointCandidates
    how: KeypointDecoding

    def details(self) -> dict[str, Any]:
        """Return all boxes and points, in pixels and in plain types for JSON."""
        objects = super().details()["objects"]
        for each, points in zip(objects, self.found.points.tolist(), strict=True):
            each["points"] = [
                {"name": name, "x": x, "y": y, "visibility": visibility}
                for name, (x, y, visibility) in zip(self.how.keypoint_label_names, points, strict=True)
            ]
        return {"objects": objects}

    def coco(self, image_id: int | str) -> list[dict[str, Any]]:
        """Return the boxes and points in the format of COCO results."""
        points = [one.ravel().tolist() for one in self.found.points]
        return [entry | {"keypoints": values} for entry, values in zip(super().coco(image_id), points, strict=True)]


def point_objects_of(target: Mapping[str, NDArray[Any]]) -> PointObjects:
    """Return the objects of one image of a batch, without the padding."""
    points = np.concatenate([target["points"], target["visibility"][..., None]], axis=-1).astype(np.float32)
    every = PointObjects(target["boxes"], target["labels"], target["crowd"], points)
    return every[target["labels"] >= 0]


def decode_keypoints(
    outputs: Mapping[str, NDArray[Any]], class_names: Sequence[str] | None, decoding: Mapping[str, Any] | None
) -> list[KeypointDetections]:
    """Return the objects of each image, with boxes and points in pixels of the model input.

    ``outputs`` are one ``(N, 5 + classes, H, W)`` for each stride, then one ``(N, 3 * points, H * W)`` for each;
    ``decoding`` has the fields of :class:`KeypointDecoding`. Raises ``CuelightError`` for others, and for values that
    are not finite.
    """
    if decoding is None or "keypoint_label_names" not in decoding:
        raise CuelightError(
            "The model has no strides, thresholds and names of points in its metadata, so its outputs cannot be "
            "decoded. Give the module a method `decoding` (cuelight.export.protocols.BringsDecoding) and export it "
            "again."
        )
    how = KeypointDecoding(**decoding)
    names = list(outputs)
    boxes = box_maps({name: outputs[name] for name in names[: len(how.strides)]}, how.strides)
    points = [outputs[name] for name in names[len(how.strides) :]]
    _check_points(boxes, points, how)
    first = boxes[0].shape[1] - 5
    known = [*(class_names or ())]
    known += [str(index) for index in range(len(known), first)]
    return [
        KeypointDetections(kept(candidates(of_image, how), how), tuple(known), how)
        for of_image in zip(*boxes, *points, strict=True)
    ]


def candidates(maps: Sequence[NDArray[Any]], how: Decoding) -> PointCandidates:
    """Return the boxes of one image with at least the least score and their points, before suppression.

    ``maps`` are ``(5 + classes, H, W)`` for each stride, then ``(3 * points, H * W)`` for each. Points are clipped to
    the image.
    """
    count = len(how.strides)
    found = [
        boxes_of_map(values, stride, how.conf_threshold) for values, stride in zip(maps, how.strides, strict=False)
    ]
    points = [values[:, cells].T for values, (*_, cells) in zip(maps[count:], found, strict=True)]
    boxes, scores, labels, _ = (np.concatenate(parts) for parts in zip(*found, strict=True))
    size = np.array(maps[0].shape[:0:-1], np.float32) * np.float32(how.strides[0])
    every = np.concatenate(points).astype(np.float32).reshape(len(scores), len(maps[count]) // _CHANNELS, _CHANNELS)
    places = np.clip(every[..., :2], np.float32(0), size)
    with np.errstate(over="ignore"):  # of a point that is certainly hidden
        visible = 1 / (1 + np.exp(-every[..., 2:]))
    return PointCandidates(boxes, scores, labels, np.concatenate([places, visible], axis=-1))


def _check_points(boxes: Sequence[NDArray[Any]], points: Sequence[NDArray[Any]], how: KeypointDecoding) -> None:
    channels = _CHANNELS * len(how.keypoint_label_names)
    expected = [(len(values), channels, values.shape[2] * values.shape[3]) for values in boxes]
    if [values.shape for values in points] != expected:
        raise CuelightError(
            f"The task of the model is keypoints, so after those of the boxes expected outputs of the shapes "
            f"{', '.join(map(str, expected))}; got {', '.join(str(values.shape) for values in points) or 'none'}."
        )
    if not all(np.isfinite(values).all() for values in points):
        raise CuelightError(
            "The points in the outputs of the model contain NaN or infinity: its weights are damaged, or too large for "
            "half precision. Export it again from another checkpoint, or without half_precision."
        )
