"""Augmentation of training images with ``torchvision.transforms.v2``."""

from __future__ import annotations

from collections.abc import Sequence

from torchvision.transforms import v2

from cuelight import registry
from cuelight.config import Part
from cuelight.data.targets.target_kind import Augmentation

# Their output size depends on their input, so they get the image at its original size.
_SIZED = frozenset({"CenterCrop", "RandomCrop", "RandomResize", "RandomResizedCrop", "RandomShortestSize", "Resize"})


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
