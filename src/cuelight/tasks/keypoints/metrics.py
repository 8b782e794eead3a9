"""Metrics of points, computed from the objects of all images of all processes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cuelight.tasks.detection.matching import match
from cuelight.tasks.detection.metrics import StoredBoxes, coco_table, mean_of
from cuelight.tasks.keypoints.decode import PointCandidates, PointObjects

Image = tuple[PointCandidates, PointObjects]


class PointErrors(NamedTuple):
    """What is measured of each point; NaN where there is none.

    Args:
        distance: Mean distance of found points in pixels ``(K,)``.
        correct: Share of the labelled points that are correct ``(K,)``.
    """

    distance: NDArray[np.float64]
    correct: NDArray[np.float64]


class KeypointMetrics(StoredBoxes):
    """Mean average precision by the object keypoint similarity (OKS), and the percentage of correct keypoints (PCK).

    Args:
        sigmas: The sigma of each point.
        area_share: Area of an object relative to that of its box.
        pck_share: A point is correct if its distance is at most this share of the longer side of the box.
        max_det: The largest number of detections of an image.

    Attributes:
        errors: What is measured of each point, after ``compute``.
    """

    def __init__(self, sigmas: Sequence[float], area_share: float, pck_share: float, max_det: int) -> None:
        super().__init__(3 * len(sigmas))
        self.sigmas = list(sigmas)
        self.area_share = area_share
        self.pck_share = pck_share
        self.max_det = max_det
        self.errors: PointErrors | None = None

    def more(self, rows: Any) -> NDArray[Any]:
        """Return the points of detections or objects."""
        points: NDArray[Any] = rows.points.reshape(len(rows.labels), 3 * len(self.sigmas))
        return points

    def compute(self) -> dict[str, Tensor]:
        """Return ``oks_map`` over the similarities 0.5 to 0.95, ``oks_map_50``, ``oks_map_75`` and ``pck``."""
        images = [(PointCandidates(*_columns(found)), _objects(true)) for found, true in self.tables()]
        precisions = oks_precisions(images, self.sigmas, self.area_share, self.max_det)
        self.errors, pck = point_errors(images, len(self.sigmas), self.pck_share)
        return {name: torch.tensor(value, dtype=torch.float32) for name, value in (precisions | {"pck": pck}).items()}


def oks_precisions(
    images: Sequence[Image], sigmas: Sequence[float], area_share: float, max_det: int
) -> dict[str, float]:
    """Return the average precisions of COCO for points; NaN without labelled points."""
    names = ("oks_map", "oks_map_50", "oks_map_75")
    if not any((true.counted.points[..., 2] > 0).any() for _, true in images):
        return dict.fromkeys(names, float("nan"))
    table, _ = coco_table(images, "keypoints", max_det, area_share, kpt_oks_sigmas=list(sigmas))
    whole = table[..., 0]
    return {name: mean_of(part) for name, part in zip(names, (whole, whole[0], whole[5]), strict=True)}


def point_errors(images: Sequence[Image], count: int, share: float) -> tuple[PointErrors, float]:
    """Return what is measured of each point, and the share of all labelled points that are correct.

    A point of an object that is not found is not correct, and has no distance.
    """
    labelled, hits, found, distances = np.zeros((4, count))
    for detections, objects in images:
        real = objects.counted
        matches = match(detections, objects)
        known = real.points[..., 2] > 0
        labelled += known.sum(axis=0)
        place, owner = np.flatnonzero(matches >= 0), matches[matches >= 0]
        away = np.linalg.norm(detections.points[place, :, :2] - real.points[owner, :, :2], axis=-1)
        side = (real.boxes[owner, 2:] - real.boxes[owner, :2]).max(axis=1, initial=0)
        hits += ((away <= share * side[:, None]) & known[owner]).sum(axis=0)
        found += known[owner].sum(axis=0)
        distances += (away * known[owner]).sum(axis=0)
    with np.errstate(invalid="ignore"):
        return PointErrors(distances / found, hits / labelled), float(hits.sum() / np.float64(labelled.sum()))


def _columns(rows: NDArray[np.float32]) -> tuple[Any, Any, Any, Any]:
    return (
        rows[:, 1:5],
        rows[:, 5],
        rows[:, 6].astype(np.int64),
        rows[:, 7:].reshape(len(rows), rows[:, 7:].shape[1] // 3, 3),
    )


def _objects(rows: NDArray[np.float32]) -> PointObjects:
    boxes, crowd, labels, points = _columns(rows)
    return PointObjects(boxes, labels, crowd.astype(bool), points)
