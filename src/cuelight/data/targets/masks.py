"""Targets with one class per pixel: masks that are transformed with their images."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor
from torchvision import tv_tensors
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import functional

from cuelight.config import Part
from cuelight.data.targets.target_kind import Augmentation, problems_of_images_alone
from cuelight.errors import Problem
from cuelight.images.preprocessing import IGNORE_INDEX, Preprocessing


class Masks:
    """A mask per image: uint8 ``(H, W)``, the class index of each pixel."""

    def fit(self, target: Tensor, preprocessing: Preprocessing) -> Tensor:
        """Resize masks ``(..., H, W)`` for the model as their images are, to the nearest pixel.

        Where the image is padded with black, the mask is ``IGNORE_INDEX``.
        """
        if tuple(target.shape[-2:]) == preprocessing.size:
            return target
        scaled = _resize_exact(target, preprocessing.scaled_size(target.shape[-2], target.shape[-1]))
        return scaled if preprocessing.resize == "stretch" else _center_crop(scaled, preprocessing.size)

    def augment(self, augmentation: Augmentation, image: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """Transform the image and its mask alike."""
        image, mask = augmentation(image, target.as_subclass(ClassMask))
        return image, mask.as_subclass(Tensor)

    def collate(self, targets: Sequence[Tensor]) -> Tensor:
        """Return int64 ``(N, H, W)``."""
        return torch.stack(list(targets)).long() if targets else torch.empty(0, dtype=torch.int64)

    def transform_problems(self, transforms: Iterable[Part] | None, path: str) -> list[Problem]:
        """Report the transforms that torchvision cannot repeat on a mask."""
        return problems_of_images_alone(transforms, path, "mask")


MASKS = Masks()


class ClassMask(tv_tensors.Mask):  # type: ignore[misc]
    """A mask of class indices: uint8 ``(H, W)``.

    Unlike in a mask of torchvision, pixels from outside the image become ``IGNORE_INDEX`` instead of class 0, whatever
    the image is filled with; and a resized mask stays aligned with its image to less than a pixel.
    """


def _kernel(function: Callable[..., Tensor]) -> Callable[..., ClassMask]:
    def apply(mask: ClassMask, *args: Any, **kwargs: Any) -> ClassMask:
        changed: ClassMask = tv_tensors.wrap(function(mask.as_subclass(tv_tensors.Mask), *args, **kwargs), like=mask)
        return changed

    return apply


def _fills(name: str) -> Callable[..., Tensor]:
    """Return a function of torchvision that fills with ``IGNORE_INDEX``."""
    function: Callable[..., Tensor] = getattr(functional, name)
    return lambda mask, *args, **kwargs: function(mask, *args, **kwargs | {"fill": IGNORE_INDEX})


def _resize(mask: Tensor, size: Sequence[int], max_size: int | None = None, **_: Any) -> Tensor:
    exact = InterpolationMode.NEAREST_EXACT
    resized: Tensor = functional.resize(mask, size, interpolation=exact, max_size=max_size)
    return resized


def _resized_crop(mask: Tensor, top: int, left: int, height: int, width: int, size: Sequence[int], **_: Any) -> Tensor:
    return _resize(functional.crop(mask, top, left, height, width), size)


def _center_crop(mask: Tensor, output_size: Sequence[int]) -> Tensor:
    # center_crop fills with 0, and 255 + 1 is 0 in 8 bits.
    cropped: Tensor = functional.center_crop_mask(mask.as_subclass(Tensor) + 1, list(output_size)) - 1
    return cropped


def _resize_exact(mask: Tensor, size: tuple[int, int]) -> Tensor:
    # Plain NEAREST samples the corner of the area of a pixel, which shifts a mask against its image.
    resized: Tensor = functional.resize_mask(mask, list(size), interpolation=InterpolationMode.NEAREST_EXACT)
    return resized


_KERNELS: dict[str, Callable[..., Tensor]] = {
    **{name: _fills(name) for name in ("affine", "rotate", "perspective", "elastic", "pad")},
    "resize": _resize,
    "resized_crop": _resized_crop,
    "center_crop": _center_crop,
}
for _name, _function in _KERNELS.items():
    functional.register_kernel(_name, ClassMask)(_kernel(_function))
