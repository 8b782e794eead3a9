"""Non-maximum suppression as the YOLO parser of depthai does it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Boxes = NDArray[np.float32]

_BLOCK = 128  # boxes that are compared with each other at once


def suppress(boxes: Boxes, scores: NDArray[np.float32], iou_threshold: float, max_det: int) -> NDArray[np.int64]:
    """Return the indices of the boxes to keep, the highest score first; of equal scores the first one wins.

    A box is dropped if its IoU with a kept one is at least ``iou_threshold``, whatever the classes.

    Args:
        boxes: ``(K, 4)``, left, top, right and bottom.
        scores: ``(K,)``.
        iou_threshold: 0 to 1.
        max_det: The largest number of boxes to keep.
    """
    order = np.argsort(-scores, kind="stable")
    ordered, threshold = boxes[order], np.float32(iou_threshold)
    kept = np.empty(0, np.int64)
    for start in range(0, len(order), _BLOCK):
        if len(kept) >= max_det:
            break
        block = np.arange(start, min(start + _BLOCK, len(order)))
        overlaps = iou(ordered[block], ordered[np.concatenate([kept, block])]) >= threshold
        free, inside = ~np.any(overlaps[:, : len(kept)], axis=1), overlaps[:, len(kept) :]
        np.fill_diagonal(inside, val=False)
        for place in np.flatnonzero(inside.any(axis=1)):
            if free[place]:
                free[place + 1 :] &= ~inside[place, place + 1 :]
        kept = np.concatenate([kept, block[free]])
    best: NDArray[np.int64] = order[kept[:max_det]]
    return best


def iou(boxes: Boxes, others: Boxes) -> NDArray[np.float32]:
    """Return the intersection over union of each pair, ``(K, L)``, of boxes ``(K, 4)`` and others ``(L, 4)``."""
    (left, top, right, bottom), (lefts, tops, rights, bottoms) = boxes.T[..., None], others.T
    # In place, because making arrays takes most of the time.
    shared: NDArray[np.float32] = np.minimum(right, rights)
    shared -= np.maximum(left, lefts)
    height = np.minimum(bottom, bottoms)
    height -= np.maximum(top, tops)
    np.maximum(shared, 0, out=shared)
    shared *= np.maximum(height, 0, out=height)
    union = (right - left) * (bottom - top) + (rights - lefts) * (bottoms - tops)
    union -= shared
    shared /= union
    return shared


def suppress_by_class(
    boxes: Boxes, scores: NDArray[np.float32], labels: NDArray[np.int64], iou_threshold: float, max_det: int
) -> NDArray[np.int64]:
    """Return the indices of the boxes to keep, the highest score first, if only boxes of one class suppress each other.

    The usual way of the papers; the device does not do it. ``labels`` is ``(K,)``; see :func:`suppress`.
    """
    groups = (np.flatnonzero(labels == label) for label in np.unique(labels))
    kept = [group[suppress(boxes[group], scores[group], iou_threshold, max_det)] for group in groups]
    indices = np.concatenate(kept) if kept else np.empty(0, np.int64)
    best: NDArray[np.int64] = indices[np.argsort(-scores[indices], kind="stable")][:max_det]
    return best
