"""Interface of a kind of target."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol

from torch import Tensor

from cuelight.config import Part
from cuelight.errors import Problem
from cuelight.images.preprocessing import Preprocessing

Augmentation = Callable[..., Any]
"""Random transforms of an image ``(C, H, W)``; given a target too, they return both."""

# They move or cut the image, and torchvision leaves its target as it is.
_OF_IMAGES_ALONE = frozenset({"AugMix", "AutoAugment", "RandAugment", "RandomErasing", "TrivialAugmentWide"})


class Mixing(Protocol):
    """Joins training images and their targets at their final size, in all but the last ``plain_epochs`` epochs.

    Attributes:
        plain_epochs: Number of epochs at the end of the training without it.
        joins_augmented: Whether images are joined after their augmentation, and not before.
    """

    plain_epochs: int
    joins_augmented: bool

    def __call__(self, sample: tuple[Tensor, Any], draw: Callable[[], tuple[Tensor, Any]]) -> tuple[Tensor, Any]:
        """Return the sample, or one of it and of other random ones, which ``draw`` returns."""


class TargetKind(Protocol):
    """How targets are resized and augmented with their images, and collated into a batch."""

    def fit(self, target: Any, preprocessing: Preprocessing) -> Any:
        """Resize a target for the model as its image is resized."""

    def augment(self, augmentation: Augmentation, image: Tensor, target: Any) -> tuple[Tensor, Any]:
        """Apply random transforms to an image ``(C, H, W)`` and its target."""

    def collate(self, targets: Sequence[Any]) -> Any:
        """Combine the targets of a batch; there may be none."""

    def transform_problems(self, transforms: Iterable[Part] | None, path: str) -> list[Problem]:
        """Report transforms that change an image but not its target; ``path`` is their key path."""


def problems_of_images_alone(transforms: Iterable[Part] | None, path: str, target: str) -> list[Problem]:
    """Report the transforms that change an image but not its ``target``, such as "mask"; ``path`` as above."""
    return [
        Problem(
            f"{part.name} would change the image but not its {target}. Use single transforms instead, such as "
            f"RandomAffine, which moves both, or ColorJitter, which does not change the {target}.",
            f"{path}.{index}.name",
        )
        for index, part in enumerate(transforms or ())
        if part.name in _OF_IMAGES_ALONE
    ]
