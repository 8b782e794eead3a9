"""Metrics of points, computed from the objects of all images of all processes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from faster_coco_eval import COCO, COCOeval_faster
from numpy.typing import NDArray
from torch import Tensor

from cuelight.tasks.detection.matching import match
from cuelight.tasks.detection.metrics import StoredBoxes
from cuelight.tasks.keypoints.decode import PointCandidates
from cuelight.tasks.keypoints.objects import PointObjects

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
    """Return the average precisions of COCO for points, computed by faster-coco-eval; NaN without labelled points."""
    names = ("oks_map", "oks_map_50", "oks_map_75")
    if not any((true.counted.points[..., 2] > 0).any() for _, true in images):
        return dict.fromkeys(names, float("nan"))
    truth, found = [], []
    for place, (detections, objects) in enumerate(images, 1):
        truth += [entry | {"image_id": place} for entry in _truth(objects, area_share)]
        found += [entry | {"image_id": place} for entry in _found(detections)]
    shared = {
        "images": [{"id": place} for place in range(1, len(images) + 1)],
        "categories": [{"id": label, "name": str(label)} for label in sorted({each["category_id"] for each in truth})],
    }
    pair = [COCO(shared | {"annotations": _numbered(entries)}, print_function=_be_quiet) for entries in (truth, found)]
    evaluation = COCOeval_faster(*pair, "keypoints", print_function=_be_quiet, kpt_oks_sigmas=list(sigmas))
    evaluation.params.maxDets = [max_det]
    evaluation.params.areaRng, evaluation.params.areaRngLbl = [[0, 1e10]], ["all"]
    evaluation.evaluate()
    evaluation.accumulate()
    table = evaluation.eval["precision"]  # similarities, recalls, classes, areas, most detections
    return {name: _mean(part) for name, part in zip(names, (table, table[0], table[5]), strict=True)}


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


def _truth(objects: PointObjects, area_share: float) -> list[dict[str, Any]]:
    sizes = objects.boxes[:, 2:] - objects.boxes[:, :2]
    return [
        {
            "category_id": label,
            "bbox": [*box[:2], *size],
            "area": size[0] * size[1] * area_share,
            "iscrowd": int(crowd),
            "keypoints": [value for point in points for value in point],
            "num_keypoints": sum(point[2] > 0 for point in points),
        }
        for label, box, size, crowd, points in zip(
            *(values.tolist() for values in (objects.labels, objects.boxes, sizes, objects.crowd, objects.points)),
            strict=True,
        )
    ]


def _found(detections: PointCandidates) -> list[dict[str, Any]]:
    sizes = detections.boxes[:, 2:] - detections.boxes[:, :2]
    return [
        {
            "category_id": label,
            "bbox": [*box[:2], *size],
            "area": size[0] * size[1],
            "score": score,
            "keypoints": [value for point in points for value in point],
        }
        for label, box, size, score, points in zip(
            *(
                values.tolist()
                for values in (detections.labels, detections.boxes, sizes, detections.scores, detections.points)
            ),
            strict=True,
        )
    ]


def _numbered(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [entry | {"id": number} for number, entry in enumerate(entries, 1)]


def _be_quiet(*_: object) -> None:
    """Print nothing."""


def _mean(table: NDArray[Any]) -> float:
    known = table[table > -1]
    return float(known.mean()) if known.size else float("nan")
