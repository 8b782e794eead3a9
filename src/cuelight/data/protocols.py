"""What a LightningDataModule may tell about itself, so that a model fits it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable


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
