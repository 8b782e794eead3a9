"""Targets with a box, a class and named points per object: points that are transformed with their images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, cast

import torch
from torch import Tensor
from torchvision import tv_tensors
from torchvision.transforms.v2 import functional

from cuelight.data.skeleton import Skeleton
from cuelight.data.targets.boxes import Boxes, BoxTarget, box_target, unclipped
from cuelight.data.targets.target_kind import Augmentation

HIDDEN, VISIBLE = 1, 2
"""The visibility of a point that is labelled; 0 if it is not, or cut off."""


class KeypointTarget(BoxTarget):
    """The objects of one image, or of a batch, with their points.

    Attributes:
        points: float32 ``(n, K, 2)``, or ``(N, M, K, 2)`` in a batch: x and y of each point in pixels, 0 if it is not
            labelled.
        visibility: int64 ``(n, K)`` or ``(N, M, K)``: 0 for a point that is not labelled or outside of the image, 1 for
            a hidden one, 2 for a visible one.
    """

    points: Tensor
    visibility: Tensor


def keypoint_target(
    boxes: Tensor, labels: Tensor, points: Tensor, canvas_size: tuple[int, int], crowd: Tensor | None = None
) -> KeypointTarget:
    """Make the target of an image from ``(n, 4)``, ``(n,)`` and points ``(n, K, 3)``: x, y and visibility."""
    places, visibility = _inside(points[..., :2].float(), points[..., 2].long(), canvas_size)
    target = box_target(boxes, labels, canvas_size, crowd)
    return cast("KeypointTarget", target | {"points": places, "visibility": visibility})


class Keypoints(Boxes):
    """The boxes of an image, each with its class and its points: a :class:`KeypointTarget`.

    Points that a transform moves out of the image count as not labelled. If it mirrors the image, the points of
    ``flip_pairs`` change places.

    Args:
        skeleton: The points.
        min_visible: As for :class:`~cuelight.data.targets.boxes.Boxes`.
    """

    def __init__(self, skeleton: Skeleton, min_visible: float = 0.1) -> None:
        super().__init__(min_visible)
        self.mirrored = skeleton.mirrored
        count = len(self.mirrored)
        self.empty |= {"points": torch.zeros(0, count, 2), "visibility": torch.zeros(0, count, dtype=torch.int64)}

    def augment(self, augmentation: Augmentation, image: Tensor, target: Any) -> tuple[Tensor, Any]:
        """Transform the image, its boxes and its points alike."""
        boxes = target["boxes"]
        image, boxes, whole, points = augmentation(image, boxes, unclipped(boxes), _with_corners(target))
        return image, self._visible(self._moved(target, points), boxes, whole)

    def move(self, target: Any, transform: Callable[[Tensor], Tensor]) -> Any:
        """Apply a transform of torchvision to boxes and points, and cut them off at the edge of the image."""
        return super().move(self._moved(target, transform(_with_corners(target))), transform)

    def join(self, targets: Sequence[Any], corners: Sequence[tuple[int, int]], size: tuple[int, int]) -> BoxTarget:
        """Return the objects of several images, placed with their left top corners (x, y) in one image of a size."""
        moved = [
            target | {"points": target["points"] + torch.tensor(corner)}
            for target, corner in zip(targets, corners, strict=True)
        ]
        return super().join(moved, corners, size)

    def _moved(self, target: Any, moved: Tensor) -> Any:
        """Return the target with points that were transformed with the corners of the image."""
        places, (origin, right, down) = moved.as_subclass(Tensor).tensor_split([-3])
        points, visibility = places.reshape(target["points"].shape), target["visibility"]
        across, along = right - origin, down - origin
        if across[0] * along[1] < across[1] * along[0]:
            points, visibility = points[:, self.mirrored], visibility[:, self.mirrored]
        points, visibility = _inside(points, visibility, moved.canvas_size)  # type: ignore[attr-defined]
        return {**target, "points": points, "visibility": visibility}


class Positions(tv_tensors.KeyPoints):  # type: ignore[misc]  # torchvision declares no types
    """Points as positions from the left top corner of an image, like the sides of boxes.

    torchvision flips key points as indices of pixels, which are one pixel off, and resizes them as positions.
    """


def _flip_across(points: Positions) -> Tensor:
    return _mirror(points, torch.tensor([points.canvas_size[1], 0.0]), torch.tensor([-1.0, 1.0]))


def _flip_down(points: Positions) -> Tensor:
    return _mirror(points, torch.tensor([0.0, points.canvas_size[0]]), torch.tensor([1.0, -1.0]))


def _mirror(points: Positions, start: Tensor, direction: Tensor) -> Tensor:
    flipped: Tensor = tv_tensors.wrap(start + points.as_subclass(Tensor) * direction, like=points)
    return flipped


functional.register_kernel(functional.horizontal_flip, Positions)(_flip_across)
functional.register_kernel(functional.vertical_flip, Positions)(_flip_down)


def _with_corners(target: KeypointTarget) -> Tensor:
    """Return the points and three corners of the image, which tell whether a transform mirrors it."""
    height, width = target["boxes"].canvas_size  # type: ignore[attr-defined]
    corners = torch.tensor([[0.0, 0.0], [width, 0.0], [0.0, height]])
    placed: Tensor = Positions(torch.cat([target["points"].reshape(-1, 2), corners]), canvas_size=(height, width))
    return placed


def _inside(points: Tensor, visibility: Tensor, canvas_size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Return points and visibility, without what is outside of the image."""
    height, width = canvas_size
    inside = ((points >= 0) & (points <= torch.tensor([width, height]))).all(-1) & (visibility > 0)
    return torch.where(inside[..., None], points, 0.0), visibility * inside
