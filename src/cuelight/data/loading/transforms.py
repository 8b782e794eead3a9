"""Augmentation of training images, by the names of ``torchvision.transforms.v2``."""

from __future__ import annotations

from collections.abc import Sequence

from torchvision.transforms import v2

from cuelight import registry
from cuelight.config import Part
from cuelight.data.targets.target_kind import Augmentation

# These choose their output size from what they see, so they are given the image at its own size.
_SIZED = frozenset({"CenterCrop", "RandomCrop", "RandomResize", "RandomResizedCrop", "RandomShortestSize", "Resize"})


def build_augmentation(parts: Sequence[Part] | None) -> Augmentation | None:
    """Make one transform of several.

    Args:
        parts: Name and params of each, in the order in which they are applied.

    Returns:
        A transform of a tensor ``(C, H, W)``, or of such a tensor and its target; None if there is nothing to do.
    """
    if not parts:
        return None
    augmentation: Augmentation = v2.Compose([registry.transforms.build(part) for part in parts])
    return augmentation


def sees_whole_image(parts: Sequence[Part] | None) -> bool:
    """Return whether augmentation comes before the image is brought to its final size.

    Args:
        parts: The transforms.

    Returns:
        True if one of them crops or resizes; otherwise the small image is augmented, which is faster.
    """
    return any(part.name in _SIZED for part in parts or ())
