"""The loss of boxes with points."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from cuelight.data.targets.keypoints import VISIBLE
from cuelight.tasks.detection.boxes import box_areas, cell_centers
from cuelight.tasks.detection.losses import DetectionLoss

# At the sigmas alone, a point that is far away would have no gradient.
_WIDER = (1.0, 3.0, 9.0)


class KeypointLoss(nn.Module):
    """The loss of boxes, and of the points of the objects to which the cells are assigned.

    It is 1 minus the object keypoint similarity (D. Maji et al., 2022, "YOLO-Pose"), as a mean over the sigmas and
    wider ones, and the binary cross-entropy of the visibility. Both are weighted as the boxes are. Objects without a
    labelled point have neither.

    Args:
        of_boxes: The loss of the boxes.
        sigmas: The sigma of each point, relative to the square root of the area of the object.
        area_share: Area of an object relative to that of its box.
        oks_weight: Weight of the similarity.
        visibility_weight: Weight of the visibility.
    """

    sigmas: Tensor

    def __init__(
        self,
        of_boxes: DetectionLoss,
        sigmas: Sequence[float],
        area_share: float,
        oks_weight: float,
        visibility_weight: float,
    ) -> None:
        super().__init__()
        self.of_boxes = of_boxes
        self.register_buffer("sigmas", torch.tensor(sigmas), persistent=False)
        self.area_share = area_share
        self.weights = oks_weight, visibility_weight

    def forward(self, maps: Sequence[Tensor], targets: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Compute the loss of a batch, not yet divided, and the sum of the target scores, without a gradient.

        Args:
            maps: ``(N, 4 + classes, H, W)`` for each stride, then ``(N, 3 * points, H, W)`` for each.
            targets: See :class:`~cuelight.data.targets.keypoints.KeypointTarget`.
        """
        strides = self.of_boxes.strides
        boxes, maps = maps[: len(strides)], maps[len(strides) :]
        loss, found = self.of_boxes.assigned(boxes, targets)
        with torch.autocast(boxes[0].device.type, enabled=False):
            points, logits = points_of(maps, strides)
            true, visibility = (_of_owner(targets[name], found.owner) for name in ("points", "visibility"))
            labelled = (visibility > 0).to(points.dtype)
            areas = box_areas(found.boxes)[..., None] * self.area_share
            error = (points - true).pow(2).sum(-1) / (8 * self.sigmas.pow(2) * areas.clamp(min=1))
            near = torch.stack([torch.exp(-error / factor**2) for factor in _WIDER]).mean(0)
            seen = functional.binary_cross_entropy_with_logits(
                logits, (visibility == VISIBLE).to(logits.dtype), reduction="none"
            )
            count = labelled.sum(-1)
            weights = found.scores.sum(-1) * (count > 0)
            of_points = (weights * ((1 - near) * labelled).sum(-1) / count.clamp(min=1)).sum()
            of_visibility = (weights * seen.mean(-1)).sum()
            oks_weight, visibility_weight = self.weights
            return loss + oks_weight * of_points + visibility_weight * of_visibility, found.scores.sum()


def points_of(maps: Sequence[Tensor], strides: Sequence[int]) -> tuple[Tensor, Tensor]:
    """Return the points of all cells in pixels, ``(N, A, K, 2)``, and the logits of their visibility, ``(N, A, K)``.

    ``maps`` are ``(N, 3 * points, H, W)`` for each stride: offsets from the center of the cell in strides, and logits.
    """
    centers, sizes = cell_centers(maps, strides)
    cells = torch.cat([values.flatten(2) for values in maps], 2).transpose(1, 2).float()
    cells = cells.reshape(*cells.shape[:2], -1, 3)
    return centers[:, None] + cells[..., :2] * sizes[:, None], cells[..., 2]


def points_for_parser(maps: Sequence[Tensor], strides: Sequence[int]) -> tuple[Tensor, ...]:
    """Return x and y in pixels and the logit of each point, ``(N, 3 * points, H * W)`` for each stride."""
    pairs = zip(maps, strides, strict=True)
    found = [
        torch.cat([points, logits[..., None]], -1) for points, logits in (points_of([one], [s]) for one, s in pairs)
    ]
    return tuple(values.flatten(2).transpose(1, 2) for values in found)


def _of_owner(values: Tensor, owner: Tensor) -> Tensor:
    """Return the values ``(N, M, ...)`` of the object of each cell ``(N, A)``."""
    images = torch.arange(len(owner), device=owner.device)[:, None]
    return values[images, owner]
