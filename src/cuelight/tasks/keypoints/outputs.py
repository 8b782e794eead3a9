"""Points as the parser of depthai reads them, and as they are measured."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from cuelight.data.targets.keypoints import KeypointTarget
from cuelight.tasks.detection.outputs import images_of
from cuelight.tasks.keypoints.losses import points_of
from cuelight.tasks.keypoints.objects import PointObjects, point_objects_of


def points_for_parser(maps: Sequence[Tensor], strides: Sequence[int]) -> tuple[Tensor, ...]:
    """Return x and y in pixels and the logit of each point, ``(N, 3 * points, H * W)`` for each stride."""
    pairs = zip(maps, strides, strict=True)
    found = [
        torch.cat([points, logits[..., None]], -1) for points, logits in (points_of([one], [s]) for one, s in pairs)
    ]
    return tuple(values.flatten(2).transpose(1, 2) for values in found)


def point_objects_in(targets: KeypointTarget) -> list[PointObjects]:
    """Return the objects of each image of a batch."""
    return list(map(point_objects_of, images_of(targets)))
