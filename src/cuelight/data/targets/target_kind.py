"""What a kind of target has to offer, so that data of that kind can be loaded."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol

from torch import Tensor

from cuelight.config import Part
from cuelight.errors import Problem
from cuelight.images.preprocessing import Preprocessing

Augmentation = Callable[..., Any]
"""Random transforms of an image ``(C, H, W)``; given a target too, they return both."""


class TargetKind(Protocol):
    """How the targets of a dataset follow their images into a batch."""

    def fit(self, target: Any, preprocessing: Preprocessing) -> Any:
        """Bring the target of an image to the size of the model, as the image is."""
        ...

    def augment(self, augmentation: Augmentation, image: Tensor, target: Any) -> tuple[Tensor, Any]:
        """Transform an image ``(C, H, W)`` at random, and its target with it."""
        ...

    def collate(self, targets: Sequence[Any]) -> Any:
        """Put the targets of the images of a batch together; there may be none."""
        ...

    def transform_problems(self, transforms: Iterable[Part] | None, path: str) -> list[Problem]:
        """Find the transforms that would change an image but not its target.

        Args:
            transforms: The transforms.
            path: Their key path, for the messages.
        """
        ...
