"""Augmentation of training images with ``torchvision.transforms.v2``."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from torchvision.transforms import v2

from cuelight import registry
from cuelight.config import Part
from cuelight.data.targets.target_kind import Augmentation
from cuelight.errors import Problem

# Their output size depends on their input, so they get the image at its original size.
_SIZED = frozenset({"CenterCrop", "RandomCrop", "RandomResize", "RandomResizedCrop", "RandomShortestSize", "Resize"})

# torchvision has them for uint8 only; those with "Aug" in the name contain RandomPosterize.
_OF_8_BITS = frozenset({"AugMix", "AutoAugment", "JPEG", "RandAugment", "RandomPosterize", "TrivialAugmentWide"})


def build_augmentation(parts: Sequence[Part] | None) -> Augmentation | None:
    """Compose transforms in the given order; ``None`` if there are none.

    The result takes a tensor ``(C, H, W)``, or such a tensor and its target.
    """
    if not parts:
        return None
    augmentation: Augmentation = v2.Compose([registry.transforms.build(part) for part in parts])
    return augmentation


def sees_whole_image(parts: Sequence[Part] | None) -> bool:
    """Return whether images are augmented at their original size, because a transform crops or resizes.

    Otherwise the resized image is augmented, which is faster.
    """
    return any(part.name in _SIZED for part in parts or ())


def eight_bit_problems(parts: Iterable[Part] | None, path: str) -> list[Problem]:
    """Report the transforms that cannot be applied to images of more than 8 bits; ``path`` is their key path."""
    return [
        Problem(
            f"{part.name} needs images of 8 bits, but with value_range images are floating-point numbers. Remove one "
            "of the two.",
            f"{path}.{index}.name",
        )
        for index, part in enumerate(parts or ())
        if part.name in _OF_8_BITS
    ]
