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

_MOST_OF_FLOAT = 1.0


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


def float_problems(parts: Iterable[Part] | None, path: str) -> list[Problem]:
    """Report the transforms that fail on floating-point images; ``path`` is their key path."""
    problems = []
    for index, part in enumerate(parts or ()):
        if part.name == "JPEG":
            message = "JPEG needs images of 8 bits; with value_range they are floating-point. Remove one of the two."
            problems.append(Problem(message, f"{path}.{index}.name"))
        threshold = part.params.get("threshold", 0) if part.name == "RandomSolarize" else 0
        if threshold > _MOST_OF_FLOAT:
            message = f"expected at most 1, because with value_range images are on the 0-1 scale; got {threshold}."
            problems.append(Problem(message, f"{path}.{index}.params.threshold"))
    return problems
