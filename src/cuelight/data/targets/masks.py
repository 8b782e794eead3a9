"""Masks as the transforms of torchvision take them, so that no pixel gets a class that nobody gave it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor
from torchvision import tv_tensors
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import functional

from cuelight.images.preprocessing import IGNORE_INDEX, center_crop_mask


class ClassMask(tv_tensors.Mask):  # type: ignore[misc]
    """A mask whose pixels hold the index of their class: uint8 ``(H, W)``.

    It differs from the mask of torchvision in two ways: what a transform brings in from outside the image is
    ``IGNORE_INDEX`` and not class 0, whatever the image is filled with; and a resized mask stays aligned with its image
    to less than a pixel.
    """


def _kernel(function: Callable[..., Tensor]) -> Callable[..., ClassMask]:
    def apply(mask: ClassMask, *args: Any, **kwargs: Any) -> ClassMask:
        changed: ClassMask = tv_tensors.wrap(function(mask.as_subclass(tv_tensors.Mask), *args, **kwargs), like=mask)
        return changed

    return apply


def _fills(name: str) -> Callable[..., Tensor]:
    """A function of torchvision, given what to fill with."""
    function: Callable[..., Tensor] = getattr(functional, name)
    return lambda mask, *args, **kwargs: function(mask, *args, **kwargs | {"fill": IGNORE_INDEX})


def _resize(mask: Tensor, size: Sequence[int], max_size: int | None = None, **_: Any) -> Tensor:
    exact = InterpolationMode.NEAREST_EXACT
    resized: Tensor = functional.resize(mask, size, interpolation=exact, max_size=max_size)
    return resized


def _resized_crop(mask: Tensor, top: int, left: int, height: int, width: int, size: Sequence[int], **_: Any) -> Tensor:
    return _resize(functional.crop(mask, top, left, height, width), size)


def _center_crop(mask: Tensor, output_size: Sequence[int]) -> Tensor:
    return center_crop_mask(mask.as_subclass(Tensor), output_size)


_KERNELS: dict[str, Callable[..., Tensor]] = {
    **{name: _fills(name) for name in ("affine", "rotate", "perspective", "elastic", "pad")},
    "resize": _resize,
    "resized_crop": _resized_crop,
    "center_crop": _center_crop,
}
for _name, _function in _KERNELS.items():
    functional.register_kernel(_name, ClassMask)(_kernel(_function))
