"""Optional interfaces of a LightningDataModule: what a model and the reports can learn from it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

from cuelight.data.skeleton import Skeleton


@runtime_checkable
class NamesClasses(Protocol):
    """Data with named classes; a label is an index into ``class_names``."""

    @property
    def class_names(self) -> Sequence[str]:
        """The name of each class, in the order of the labels."""


@runtime_checkable
class CountsClasses(Protocol):
    """Data that can count its training images by class."""

    def class_counts(self) -> Sequence[int]:
        """Return the number of training images of each class, in the order of the labels."""


@runtime_checkable
class HasSkeleton(Protocol):
    """Data whose objects have named points."""

    @property
    def skeleton(self) -> Skeleton:
        """The points and how they belong together."""


@runtime_checkable
class NamesSplits(Protocol):
    """Data that may lack a split."""

    @property
    def split_names(self) -> Sequence[str]:
        """Those of ``train``, ``val`` and ``test`` that exist; known after ``setup``."""


@runtime_checkable
class HasFingerprint(Protocol):
    """Data with a fingerprint, by which two runs can be checked for the same data."""

    def fingerprint(self) -> str:
        """Return a hash of the data, such as ``sha256:`` and hexadecimal digits; called after ``setup``.

        The same data has the same fingerprint on any machine, other data has another one.
        """


@runtime_checkable
class CountsRepeatedImages(Protocol):
    """Data that finds images of validation or test among those of training while it makes its fingerprint."""

    @property
    def images_also_in_train(self) -> Mapping[str, int]:
        """The number of such images by split, without splits that have none; known after ``fingerprint``."""


@runtime_checkable
class LoadsWhole(Protocol):
    """Data that can load each image of a split once, in order and without augmentation."""

    def whole_dataloader(self, split: str) -> Iterable[Any]:
        """Return the batches of ``train``, ``val`` or ``test``."""


class ImageShape(Protocol):
    """Shape of the images that the model receives."""

    @property
    def channels(self) -> int:
        """The number of channels."""

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in pixels."""


@runtime_checkable
class DescribesImages(Protocol):
    """Data whose images all have one shape."""

    @property
    def preprocessing(self) -> ImageShape:
        """How an image is prepared for the model."""


@runtime_checkable
class LabelsByName(Protocol):
    """Data that can label its images in the order of other class names than its own, by name."""

    def use_classes(self, class_names: Sequence[str]) -> None:
        """Label by these classes from the next ``setup`` on. Raises ``DataError`` if the data has a further class."""
