"""Boxes of the model's outputs, and their intersection over union, as tensors."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

_EPS = 1e-7


def cell_centers(maps: Sequence[Tensor], strides: Sequence[int]) -> tuple[Tensor, Tensor]:
    """Return the centers of all cells in pixels, x and y, ``(A, 2)``, and the stride of each, ``(A, 1)``.

    ``maps`` are ``(N, channels, H, W)`` for each stride.
    """
    centers, sizes = [], []
    for values, stride in zip(maps, strides, strict=True):
        height, width = values.shape[-2:]
        columns, rows = (
            torch.arange(length, device=values.device, dtype=torch.float32) + 0.5 for length in (width, height)
        )
        grid = torch.stack([columns.repeat(height), rows.repeat_interleave(width)], 1) * stride
        centers.append(grid)
        sizes.append(torch.full_like(grid[:, :1], stride))
    return torch.cat(centers), torch.cat(sizes)


def flatten_maps(maps: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Return the distances ``(N, A, 4)`` and the logits ``(N, A, classes)`` of all cells, in float32."""
    cells = torch.cat([values.flatten(2) for values in maps], 2).transpose(1, 2).float()
    return cells[..., :4], cells[..., 4:]


def boxes_of(distances: Tensor, centers: Tensor, strides: Tensor) -> Tensor:
    """Return boxes ``(N, A, 4)`` in pixels, for distances in strides; see :func:`cell_centers`."""
    lows, highs = (distances * strides).chunk(2, -1)
    return torch.cat([centers - lows, centers + highs], -1)


def box_areas(boxes: Tensor) -> Tensor:
    """Return the areas of boxes ``(..., 4)``."""
    return (boxes[..., 2] - boxes[..., 0]) * (boxes[..., 3] - boxes[..., 1])


def iou_and_union(boxes: Tensor, others: Tensor) -> tuple[Tensor, Tensor]:
    """Return intersection over union, 0 to 1, and union of boxes ``(..., 4)``, whose shapes are broadcast."""
    lows = torch.maximum(boxes[..., :2], others[..., :2])
    highs = torch.minimum(boxes[..., 2:], others[..., 2:])
    shared = (highs - lows).clamp(min=0).prod(-1)
    union = box_areas(boxes) + box_areas(others) - shared
    return shared / union.clamp(min=_EPS), union


def giou(boxes: Tensor, targets: Tensor) -> Tensor:
    """Return the generalized IoU of boxes and targets ``(..., 4)``, -1 to 1.

    H. Rezatofighi et al., 2019, "Generalized Intersection over Union".
    """
    iou, union = iou_and_union(boxes, targets)
    hull = _hull(boxes, targets).prod(-1)
    return iou - (hull - union) / hull.clamp(min=_EPS)


def ciou(boxes: Tensor, targets: Tensor) -> Tensor:
    """Return the complete IoU of boxes and targets ``(..., 4)``, which counts centers and aspect ratios too.

    Z. Zheng et al., 2020, "Distance-IoU Loss: Faster and Better Learning for Bounding Box Regression".
    """
    iou, _ = iou_and_union(boxes, targets)
    shift = ((boxes[..., :2] + boxes[..., 2:]) - (targets[..., :2] + targets[..., 2:])) / 2
    diagonal = _hull(boxes, targets).pow(2).sum(-1).clamp(min=_EPS)
    turn = 4 / math.pi**2 * (_aspect(targets) - _aspect(boxes)).pow(2)
    weight = (turn / (1 - iou + turn).clamp(min=_EPS)).detach()
    return iou - shift.pow(2).sum(-1) / diagonal - weight * turn


def _hull(boxes: Tensor, others: Tensor) -> Tensor:
    """Return width and height, ``(..., 2)``, of the smallest box around both."""
    return torch.maximum(boxes[..., 2:], others[..., 2:]) - torch.minimum(boxes[..., :2], others[..., :2])


def _aspect(boxes: Tensor) -> Tensor:
    width, height = (boxes[..., 2:] - boxes[..., :2]).unbind(-1)
    return torch.atan2(width, height.clamp(min=_EPS))
