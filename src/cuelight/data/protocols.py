"""What a LightningDataModule may tell about itself, so that a model fits it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Protocol, runtime_checkable


@runtime_checkable
class NamesClasses(Protocol):
    """Data whose samples belong to named classes; the label is the index into the list."""

    @property
    def class_names(self) -> Sequence[str]:
        """The name of each class, in the order of the labels."""


@runtime_checkable
class NamesSplits(Protocol):
    """Data that may lack a split."""

    @property
    def split_names(self) -> Sequence[str]:
        """Which of ``train``, ``val`` and ``test`` there are; known after ``setup``."""


@runtime_checkable
class HasFingerprint(Protocol):
    """Data that can tell whether it is the same as in another run."""

    def fingerprint(self) -> str:
        """Return the same text for the same data on any machine, and another one for any other data; after ``setup``.

        Returns:
            A text, such as ``sha256:`` and hexadecimal digits.
        """


@runtime_checkable
class LoadsWhole(Protocol):
    """Data that can load every image of a split once, in order, as it is: also those for training."""

    def whole_dataloader(self, split: str) -> Iterable[Any]:
        """Load a split.

        Args:
            split: ``train``, ``val`` or ``test``.

        Returns:
            Its batches.
        """


class ImageShape(Protocol):
    """How the images reach the model."""

    @property
    def channels(self) -> int:
        """The number of channels C."""

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in pixels."""


@runtime_checkable
class DescribesImages(Protocol):
    """Data whose samples are images of one shape."""

    @property
    def preprocessing(self) -> ImageShape:
        """What is done to an image before the model sees it."""
