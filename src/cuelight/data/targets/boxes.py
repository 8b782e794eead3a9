"""Targets with a box and a class per object: boxes that are transformed with their images."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypedDict, cast

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
        self.empty: Any = box_target(torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64), (1, 1))

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
        image, boxes, whole = augmentation(image, target["boxes"], unclipped(target["boxes"]))
        return image, self._visible(target, boxes, whole)

    def collate(self, targets: Sequence[BoxTarget]) -> BoxTarget:
        """Return the targets of a batch, padded to the largest number of boxes, at least 1."""
        most = max([1, *(len(target["labels"]) for target in targets)])
        batch = {
            name: values.as_subclass(Tensor).new_zeros(len(targets), most, *values.shape[1:])
            for name, values in self.empty.items()
        }
        batch["labels"].fill_(PADDING_LABEL)
        for index, target in enumerate(targets):
            for name, values in target.items():
                batch[name][index, : len(target["labels"])] = cast("Tensor", values).as_subclass(Tensor)
        return cast("BoxTarget", batch)

    def transform_problems(self, transforms: Iterable[Part] | None, path: str) -> list[Problem]:
        """Report the transforms that torchvision cannot repeat on boxes."""
        return problems_of_images_alone(transforms, path, "boxes")

    def move(self, target: BoxTarget, transform: Callable[[Tensor], Tensor]) -> BoxTarget:
        """Apply a transform of torchvision to the boxes, and cut them off at the edge of the image."""
        whole = transform(unclipped(target["boxes"]))
        return self._visible(target, functional.clamp_bounding_boxes(whole, clamping_mode="hard"), whole)

    def join(
        self, targets: Sequence[BoxTarget], corners: Sequence[tuple[int, int]], size: tuple[int, int]
    ) -> BoxTarget:
        """Return the objects of several images, placed with their left top corners (x, y) in one image of a size."""
        joined = {name: torch.cat([_entry(target, name) for target in targets]) for name in self.empty}
        moved = [
            target["boxes"].as_subclass(Tensor) + torch.tensor([left, top, left, top])
            for target, (left, top) in zip(targets, corners, strict=True)
        ]
        return cast("BoxTarget", joined | {"boxes": _on_canvas(torch.cat(moved), size)})

    def _visible(self, target: BoxTarget, boxes: Tensor, whole: Tensor) -> BoxTarget:
        area = box_area(boxes.as_subclass(Tensor))
        share = area / box_area(whole.as_subclass(Tensor)).clamp(min=torch.finfo(torch.float32).tiny)
        kept = (area > 0) & ((share >= self.min_visible) | target["crowd"])
        seen = {name: _entry(target, name)[kept] for name in target}
        boxes = _on_canvas(boxes[kept], boxes.canvas_size)  # type: ignore[attr-defined]
        return cast("BoxTarget", seen | {"boxes": boxes})


def _entry(target: BoxTarget, name: str) -> Tensor:
    values: Tensor = target[name]  # type: ignore[literal-required]  # a subclass may have more
    return values.as_subclass(Tensor)


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


def unclipped(boxes: Tensor) -> Tensor:
    """Return a copy of boxes that torchvision does not clip to the image."""
    free: Tensor = tv_tensors.wrap(boxes.as_subclass(Tensor).clone(), like=boxes, clamping_mode=None)
    return free


BOXES = Boxes()
