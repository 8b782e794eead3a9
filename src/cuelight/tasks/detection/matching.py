"""Matching of detections with the objects of an image."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from cuelight.tasks.detection.decode import Candidates
from cuelight.tasks.detection.suppression import iou

MATCH_IOU = 0.5
NONE, IGNORED = -1, -2


@dataclass(frozen=True)
class Objects:
    """The true objects of an image.

    Args:
        boxes: float32 ``(G, 4)``: left, top, right and bottom in pixels.
        labels: int64 ``(G,)``.
        crowd: bool ``(G,)``, whether a box is an ignored region.
    """

    boxes: NDArray[np.float32]
    labels: NDArray[np.int64]
    crowd: NDArray[np.bool_]

    def __getitem__(self, chosen: NDArray[np.bool_]) -> Self:
        return replace(self, **{each.name: getattr(self, each.name)[chosen] for each in fields(self)})

    @property
    def counted(self) -> Self:
        """The objects without the ignored regions."""
        return self[~self.crowd]


def match(found: Candidates, objects: Objects, by_class: bool = True) -> NDArray[np.int64]:
    """Return for each detection, the best first, the index in ``objects.counted`` of the object that it finds.

    It is the free one with the largest IoU, of at least 0.5, and of its class unless ``by_class`` is false. Without
    one it is ``NONE``, or ``IGNORED`` if at least half of the box is in an ignored region.
    """
    real = objects.counted
    overlaps = iou(found.boxes, real.boxes)
    if by_class:
        overlaps = np.where(found.labels[:, None] == real.labels, overlaps, np.float32(0))
    result = np.where(_in_crowd(found, objects[objects.crowd], by_class), IGNORED, NONE)
    for index in np.flatnonzero((overlaps >= MATCH_IOU).any(axis=1)):
        best = int(overlaps[index].argmax())
        if overlaps[index, best] >= MATCH_IOU:
            result[index] = best
            overlaps[:, best] = 0
    return result.astype(np.int64)


def _in_crowd(found: Candidates, crowds: Objects, by_class: bool) -> NDArray[np.bool_]:
    lows = np.maximum(found.boxes[:, None, :2], crowds.boxes[:, :2])
    highs = np.minimum(found.boxes[:, None, 2:], crowds.boxes[:, 2:])
    shared = np.maximum(highs - lows, 0).prod(axis=-1)
    areas = (found.boxes[:, 2:] - found.boxes[:, :2]).prod(axis=-1)
    of_class = (found.labels[:, None] == crowds.labels) | (not by_class)
    inside: NDArray[np.bool_] = ((shared >= MATCH_IOU * areas[:, None]) & of_class).any(axis=1)
    return inside
