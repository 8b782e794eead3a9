"""Targets with a box and a class per object: boxes that are transformed with their images."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TypedDict

import torch
from torch import Tensor
from torchvision import tv_tensors
from torchvision.ops import box_area
from torchvision.transforms.v2 import functional

from cuelight.config import Part
from cuelight.data.targets.target_kind import Augmentation, problems_of_images_alone
from cuelight.errors import Problem
from cuelight.images.preprocessing import Preprocessing

PADDING_LABEL = -1
"""The label of the empty places in a batch, whose images have different numbers of boxes."""


class BoxTarget(TypedDict):
    """The objects of one image, or of a batch.

    Attributes:
        boxes: float32 ``(n, 4)``: left, top, right and bottom in pixels; a batch has ``(N, M, 4)``, of the model input.
        labels: int64 ``(n,)``, the class of each; in a batch ``(N, M)``, -1 where there is no object.
        crowd: bool ``(n,)`` or ``(N, M)``: whether the box is a region to ignore, such as a group of objects.
    """

    boxes: Tensor
    labels: Tensor
    crowd: Tensor


def box_target(boxes: Tensor, labels: Tensor, canvas_size: tuple[int, int], crowd: Tensor | None = None) -> BoxTarget:
    """Make the target of an image of ``canvas_size``, height and width, from float ``(n, 4)`` and int64 ``(n,)``."""
    return {
        "boxes": _on_canvas(boxes.float().reshape(-1, 4), canvas_size),
        "labels": labels,
        "crowd": torch.zeros_like(labels, dtype=torch.bool) if crowd is None else crowd,
    }


class Boxes:
    """The boxes of an image, each with its class: a :class:`BoxTarget`.

    Args:
        min_visible: A box is dropped if less than this share of its area is left inside the image. Regions to ignore
            are kept as long as they are seen at all.
    """

    def __init__(self, min_visible: float = 0.1) -> None:
        self.min_visible = min_visible

    def fit(self, target: BoxTarget, preprocessing: Preprocessing) -> BoxTarget:
        """Resize boxes for the model as their image is, and cut them off where it is cropped."""
        boxes = target["boxes"]
        height, width = boxes.canvas_size  # type: ignore[attr-defined]
        if (height, width) == preprocessing.size:
            return target

        def resize(boxes: Tensor) -> Tensor:
            scaled: Tensor = functional.resize(boxes, list(preprocessing.scaled_size(height, width)))
            return scaled if preprocessing.resize == "stretch" else _center_crop(scaled, preprocessing.size)

        return self.move(target, resize)

    def augment(self, augmentation: Augmentation, image: Tensor, target: BoxTarget) -> tuple[Tensor, BoxTarget]:
        """Transform the image and its boxes alike."""
        # torchvision clips the first boxes after each transform, and never the second.
        image, boxes, whole = augmentation(image, target["boxes"], _unclipped(target["boxes"]))
        return image, self._visible(target, boxes, whole)

    def collate(self, targets: Sequence[BoxTarget]) -> BoxTarget:
        """Return the targets of a batch, padded to the largest number of boxes, at least 1."""
        most = max([1, *(len(target["labels"]) for target in targets)])
        batch: BoxTarget = {
            "boxes": torch.zeros(len(targets), most, 4),
            "labels": torch.full((len(targets), most), PADDING_LABEL),
            "crowd": torch.zeros(len(targets), most, dtype=torch.bool),
        }
        for index, target in enumerate(targets):
            count = len(target["labels"])
            batch["boxes"][index, :count] = target["boxes"].as_subclass(Tensor)
            batch["labels"][index, :count] = target["labels"]
            batch["crowd"][index, :count] = target["crowd"]
        return batch

    def transform_problems(self, transforms: Iterable[Part] | None, path: str) -> list[Problem]:
        """Report the transforms that torchvision cannot repeat on boxes."""
        return problems_of_images_alone(transforms, path, "boxes")

    def move(self, target: BoxTarget, transform: Callable[[Tensor], Tensor]) -> BoxTarget:
        """Apply a transform of torchvision to the boxes, and cut them off at the edge of the image."""
        whole = transform(_unclipped(target["boxes"]))
        return self._visible(target, functional.clamp_bounding_boxes(whole, clamping_mode="hard"), whole)

    def _visible(self, target: BoxTarget, boxes: Tensor, whole: Tensor) -> BoxTarget:
        area = box_area(boxes.as_subclass(Tensor))
        share = area / box_area(whole.as_subclass(Tensor)).clamp(min=torch.finfo(torch.float32).tiny)
        kept = (area > 0) & ((share >= self.min_visible) | target["crowd"])
        return {
            "boxes": _on_canvas(boxes[kept], boxes.canvas_size),  # type: ignore[attr-defined]
            "labels": target["labels"][kept],
            "crowd": target["crowd"][kept],
        }


BOXES = Boxes()


def _on_canvas(boxes: Tensor, size: tuple[int, int]) -> Tensor:
    placed: Tensor = tv_tensors.BoundingBoxes(boxes, format="XYXY", canvas_size=size)
    return placed


def _center_crop(boxes: Tensor, size: tuple[int, int]) -> Tensor:
    # center_crop rounds an odd padding of boxes up, and that of images down.
    height, width = boxes.canvas_size  # type: ignore[attr-defined]
    rows, columns = max(0, size[0] - height), max(0, size[1] - width)
    padded = functional.pad(boxes, [columns // 2, rows // 2, (columns + 1) // 2, (rows + 1) // 2])
    cropped: Tensor = functional.center_crop(padded, list(size))
    return cropped


def _unclipped(boxes: Tensor) -> Tensor:
    free: Tensor = tv_tensors.wrap(boxes.as_subclass(Tensor).clone(), like=boxes, clamping_mode=None)
    return free
