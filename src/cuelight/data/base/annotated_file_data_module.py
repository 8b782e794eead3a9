"""Base of the data modules whose annotation files name the classes in each image."""

from __future__ import annotations

import logging
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from operator import attrgetter
from pathlib import Path
from typing import Annotated, Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from cuelight.data.base.box_annotations import AnnotatedImage, AnnotationErrors, Annotations
from cuelight.data.base.image_file_data_module import Files, ImageFileDataModule
from cuelight.data.base.splits import warn_of_missing_classes
from cuelight.errors import DataError, did_you_mean
from cuelight.images.preprocessing import ResizeMode
from cuelight.utils.words import checked_names

logger = logging.getLogger(__name__)


class AnnotatedFiles(Files, Protocol):
    """Image files with the classes in each."""

    def seen_labels(self) -> NDArray[np.int64]:
        """Return the labels of all classes that are in the images, in any order."""

    def rarest_labels(self) -> list[int]:
        """Return for each image the label of its class that the fewest images have; -1 without any."""


_Files = TypeVar("_Files", bound=AnnotatedFiles)


class AnnotatedFileDataModule(ImageFileDataModule[_Files]):
    """Image files whose annotations name classes; a missing split is taken from the training images.

    A subclass reads its files in :meth:`read_annotations`, and labels them in :meth:`make_files`.

    Args:
        path: The folder.
        classes: The names of the classes to use, in the order of the labels; others are left out. A mapping from names
            in the data to new names renames classes, or joins several in one. All classes if left out.
        keep_empty: Whether images without any of the classes are used.
        resize: ``letterbox`` scales the longer side and fills with black, ``crop`` scales the shorter side and cuts the
            middle out, ``stretch`` ignores the aspect ratio.
        on_error: ``raise`` stops at an image that cannot be read and at a wrong annotation. ``skip`` leaves them out
            and logs how many: in training the next image takes the place of one that cannot be read, in validation and
            test it counts nowhere.
        **options: As for :class:`~cuelight.data.base.image_file_data_module.ImageFileDataModule`.
    """

    def __init__(
        self,
        path: str | Path,
        classes: Annotated[list[str] | dict[str, str], Field(min_length=1)] | None = None,
        keep_empty: bool = True,
        resize: ResizeMode = "letterbox",
        **options: Any,
    ) -> None:
        super().__init__(path, resize=resize, **options)
        self.classes = classes
        self.keep_empty = keep_empty
        self._annotations: Annotations | None = None
        self._class_names: list[str] | None = None

    @abstractmethod
    def read_annotations(self, errors: AnnotationErrors) -> Annotations:
        """Return the images of ``train`` and, where they exist, of ``val`` and ``test``.

        What is wrong with single images and objects is added to ``errors``.

        Raises:
            DataError: The files are not as expected.
        """

    @abstractmethod
    def make_files(self, images: Sequence[AnnotatedImage]) -> _Files:
        """Return images with their targets; all their classes are in ``class_names``."""

    @property
    def class_names(self) -> list[str]:
        """The name of each class, in the order of the labels.

        Raises:
            DataError: The files are not as expected, or a chosen class is not in them.
        """
        if self._class_names is None:
            self._class_names = list(dict.fromkeys(self._new_names().values()))
        return list(self._class_names)

    def use_classes(self, class_names: Sequence[str]) -> None:
        """Label by these classes; if the data has a further one, ``DataError`` is raised."""
        if further := [name for name in self.class_names if name not in class_names]:
            raise DataError(
                f"{self.path}: the model does not know {', '.join(further)}. Its classes: {', '.join(class_names)}. "
                "Choose or rename classes with data.params.classes."
            )
        self._class_names, self._splits = list(class_names), {}

    def list_files(self) -> dict[str, _Files]:
        """Return the files of ``train`` and, where they exist, of ``val`` and ``test``."""
        new_names, errors = self._new_names(), AnnotationErrors(self.path, self.on_error)
        chosen = {split: list(self._choose(images, new_names, errors)) for split, images in self._read().splits.items()}
        errors.report()
        _warn_of_repeated(chosen)
        files = {split: self.make_files(images) for split, images in chosen.items()}
        self._annotations = None
        return files

    def check_files(self, train: _Files) -> None:
        """Refuse training images without a single class."""
        if not len(train.seen_labels()):
            raise DataError(f"{self.path}: no training image has any of the classes {self.class_names}.")

    def stratify_labels(self, train: _Files) -> Sequence[int]:
        """Return the rarest class in each training image."""
        return train.rarest_labels()

    def setup(self, stage: str | None = None) -> None:
        """List and split the files of all stages at once, and log the classes that a split lacks."""
        if not self._splits:
            super().setup(stage)
            for split, files in self._splits.items():
                warn_of_missing_classes(split, files.seen_labels().tolist(), self.class_names)

    def missing_split(self, split: str) -> str:
        """Return the message for a split without images."""
        return (
            f"{self.path}: there are no images for {split}. Add annotated images, or set {split}_split above 0: a "
            "split needs at least three images with the same rarest class."
        )

    def _read(self) -> Annotations:
        if self._annotations is None:
            errors = AnnotationErrors(self.path, self.on_error)
            read = self.read_annotations(errors)
            try:
                checked_names(read.class_names)
            except ValueError as error:
                raise DataError(f"{self.path}: {error}.") from error
            splits = {split: list(_usable(images, errors)) for split, images in read.splits.items()}
            errors.report()
            self._annotations = read._replace(splits=splits)
        return self._annotations

    def _new_names(self) -> dict[str, str]:
        """Return the class of each name in the data that is used."""
        names = self._read().class_names
        if self.classes is None:
            return {name: name for name in names}
        if len(set(self.classes)) < len(self.classes):
            raise DataError(f"{self.path}: data.params.classes: expected each class once, got {self.classes}.")
        new_names = self.classes if isinstance(self.classes, Mapping) else {name: name for name in self.classes}
        if unknown := [name for name in new_names if name not in names]:
            raise DataError(
                f"{self.path}: data.params.classes: there is no class {unknown[0]}."
                f"{did_you_mean(unknown[0], names)} The data has: {', '.join(names)}."
            )
        return dict(new_names)

    def _choose(
        self, images: Sequence[AnnotatedImage], new_names: Mapping[str, str], errors: AnnotationErrors
    ) -> Iterator[AnnotatedImage]:
        for image in images:
            objects = []
            for each in image.objects:
                if each.name in new_names:
                    objects.append(each._replace(name=new_names[each.name]))
                elif self.classes is None:
                    errors.add(each.where, f"its class {each.name} is not among those of training")
            if objects or self.keep_empty:
                yield image._replace(objects=objects)


def _usable(images: Sequence[AnnotatedImage], errors: AnnotationErrors) -> Iterator[AnnotatedImage]:
    seen = set()
    for image in sorted(images, key=attrgetter("path")):  # so that splits do not depend on the order of a file
        if image.path in seen:
            errors.add(image.path, "this image is listed twice")
            continue
        seen.add(image.path)
        yield errors.usable(image)


def _warn_of_repeated(splits: Mapping[str, Sequence[AnnotatedImage]]) -> None:
    train = {image.path for image in splits["train"]}
    for split, images in splits.items():
        repeated = sum(image.path in train for image in images)
        if split != "train" and repeated:
            logger.warning("%d images of %s are also in train, so results are too good.", repeated, split)
