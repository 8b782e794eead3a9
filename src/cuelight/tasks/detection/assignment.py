"""Task-aligned assignment of objects to cells (C. Feng et al., 2021, "TOOD: Task-aligned One-stage Object Detection").

Everything is computed for all images, objects and cells at once, without waiting for the device.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from cuelight.tasks.detection.boxes import box_areas, iou_and_union

_TINY = 1e-38


@dataclass(frozen=True)
class Assignment:
    """The target of each cell.

    Args:
        boxes: ``(N, A, 4)``, any box where the score is 0.
        scores: ``(N, A, classes)``, 0 to 1: how well a cell is aligned with its object, for the class of that.
        counted: ``(N, A)``, 0 for cells inside an ignored region that have no object, 1 for others.
        owner: ``(N, A)``, the index of the object, any index where the score is 0.
    """

    boxes: Tensor
    scores: Tensor
    counted: Tensor
    owner: Tensor


def assign(
    boxes: Tensor, scores: Tensor, centers: Tensor, targets: Mapping[str, Tensor], topk: int, alpha: float, beta: float
) -> Assignment:
    """Assign the cells to each object that have the largest ``score ** alpha * iou ** beta`` for it.

    Cells whose centers are inside the object may be chosen, and the one nearest to its center, for tiny objects.
    A cell that is chosen by several objects belongs to the one with the largest IoU.

    Args:
        boxes: Predicted boxes ``(N, A, 4)`` in pixels, without gradients.
        scores: Predicted probabilities ``(N, A, classes)``, without gradients.
        centers: Centers of the cells ``(A, 2)`` in pixels.
        targets: ``boxes`` ``(N, M, 4)``, ``labels`` ``(N, M)``, -1 for none, and ``crowd`` ``(N, M)``, regions to
            ignore.
        topk: Cells for each object, at most.
        alpha: Exponent of the score.
        beta: Exponent of the IoU.
    """
    objects, labels, crowd = targets["boxes"], targets["labels"], targets["crowd"]
    real = (labels >= 0) & ~crowd & (box_areas(objects) > 0)
    inside = _inside(centers, objects)
    allowed = (inside | _nearest(centers, objects)) & real[..., None]
    iou, _ = iou_and_union(objects[:, :, None], boxes[:, None])  # (N, M, A)
    of_class = scores.transpose(1, 2).gather(1, labels.clamp(min=0)[..., None].expand_as(iou))
    alignment = of_class.pow(alpha) * iou.pow(beta)
    chosen = _largest(torch.where(allowed, alignment, -1.0), topk) & allowed
    owner = torch.where(chosen, iou, -1.0).argmax(1)  # (N, A)
    chosen &= _is_at(owner, labels.shape[1]).transpose(1, 2)
    alignment, iou = alignment * chosen, iou * chosen
    # The best cell of an object gets its IoU as target, the others less.
    scaled = alignment * (iou.amax(-1, keepdim=True) / alignment.amax(-1, keepdim=True).clamp(min=_TINY))
    target = scaled.amax(1)
    of_owner = labels.clamp(min=0).gather(1, owner)
    return Assignment(
        boxes=objects.gather(1, owner[..., None].expand(-1, -1, 4)),
        scores=_is_at(of_owner, scores.shape[-1]) * target[..., None],
        counted=(chosen.any(1) | ~(inside & crowd[..., None]).any(1)).to(scores.dtype),
        owner=owner,
    )


def _inside(centers: Tensor, objects: Tensor) -> Tensor:
    """Whether each center is inside each object, ``(N, M, A)``."""
    lows, highs = objects[:, :, None].chunk(2, -1)
    return ((centers > lows) & (centers < highs)).all(-1)


def _nearest(centers: Tensor, objects: Tensor) -> Tensor:
    """Whether each cell is the nearest to the center of an object, ``(N, M, A)``; of equal ones the finest."""
    middles = (objects[..., :2] + objects[..., 2:]) / 2
    distances = (middles[:, :, None] - centers).pow(2).sum(-1)
    return _is_at(distances.argmin(-1), len(centers))


def _largest(values: Tensor, count: int) -> Tensor:
    """Whether a value is among the largest of its row, ``(N, M, A)``."""
    places = values.topk(min(count, values.shape[-1]), dim=-1).indices
    return torch.zeros_like(values, dtype=torch.bool).scatter_(-1, places, value=True)


def _is_at(places: Tensor, count: int) -> Tensor:
    """Return the places as a mask with one more dimension; ``one_hot`` would need eight bytes for each entry."""
    return places[..., None] == torch.arange(count, device=places.device)
