"""One class for each pixel, as a mask that follows its image."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor
from torchvision import tv_tensors
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import functional

from cuelight.config import Part
from cuelight.data.reading import portable_name
from cuelight.data.targets.target_kind import Augmentation
from cuelight.errors import Problem
from cuelight.images.preprocessing import IGNORE_INDEX, Preprocessing

# They move or cut the image in ways that torchvision does not repeat on a mask.
_OF_IMAGES_ALONE = frozenset({"AugMix", "AutoAugment", "RandAugment", "RandomErasing", "TrivialAugmentWide"})


class Masks:
    """A mask of an image: uint8 ``(H, W)``, the index of the class of each pixel."""

    def fit(self, target: Tensor, preprocessing: Preprocessing) -> Tensor:
        """Bring masks ``(..., H, W)`` to the size of the model as their images, by the nearest pixel.

        Where the image is filled with black, the mask is ``IGNORE_INDEX``.
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
        """Find the transforms that torchvision cannot repeat on a mask."""
        return [
            Problem(
                f"{part.name} changes the image and not its mask. Take transforms that do one thing each, such as "
                "RandomAffine, which moves both, or ColorJitter, which leaves the mask as it is.",
                f"{path}.{index}.name",
            )
            for index, part in enumerate(transforms or ())
            if part.name in _OF_IMAGES_ALONE
        ]


MASKS = Masks()


class MaskedFiles(Protocol):
    """Image files with the file of the mask of each."""

    @property
    def paths(self) -> Sequence[str]:
        """The images."""
        ...

    @property
    def masks(self) -> Sequence[str]:
        """The mask of each."""
        ...

    @property
    def class_names(self) -> Sequence[str]:
        """The name of each class."""
        ...


def hashed_entries(files: MaskedFiles, root: Path) -> Iterator[tuple[str, str]]:
    """List what the fingerprint of a dataset depends on.

    Args:
        files: The files.
        root: The folder of the dataset.

    Yields:
        Each file, image or mask, and the text that belongs to it.
    """
    for image, mask in zip(files.paths, files.masks, strict=True):
        yield image, portable_name(mask, root)
        yield mask, "\n".join(files.class_names)


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
    # center_crop fills with 0, which is what 255 + 1 is in 8 bits.
    cropped: Tensor = functional.center_crop_mask(mask.as_subclass(Tensor) + 1, list(output_size)) - 1
    return cropped


def _resize_exact(mask: Tensor, size: tuple[int, int]) -> Tensor:
    # Plain NEAREST takes the corner of what a pixel covers, and so moves a mask against its image.
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
