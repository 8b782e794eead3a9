"""Images in folders named after their class."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from cuelight.data.base import folders
from cuelight.data.base.image_file_data_module import ImageFileDataModule
from cuelight.data.base.image_files import ImageFiles
from cuelight.data.base.label_data_module import LabelDataModule
from cuelight.data.base.splits import warn_of_missing_classes
from cuelight.data.finding import UnusedFiles
from cuelight.errors import DataError


class ImageFolder(LabelDataModule[ImageFiles], ImageFileDataModule[ImageFiles]):
    """Images in folders named after their class, with or without folders for train, val and test above them.

    ``path/train/cat/1.jpg`` with ``path/val`` and ``path/test`` beside ``train``, or ``path/cat/1.jpg``. A missing val
    or test split is taken from the training images, by class.

    Args:
        on_error: ``raise`` stops at an image that cannot be read, at a class without images, and at a class that
            training does not know. ``skip`` leaves them out and logs how many: in training the next image takes the
            place of one that cannot be read, in validation and test it counts nowhere.
        **options: As for :class:`~cuelight.data.base.image_file_data_module.ImageFileDataModule` and
            :class:`~cuelight.data.base.label_data_module.LabelDataModule`.
    """

    _class_names: list[str] | None = None
    _checked: frozenset[str] = frozenset()

    @property
    def class_names(self) -> list[str]:
        """The names of the class folders of training, sorted.

        Raises:
            DataError: There is no such folder, or no class in it.
        """
        if self._class_names is None:
            folder = folders.find_splits(Path(self.path))["train"]
            self._class_names = folders.find_classes(folder, self.on_error)
        return list(self._class_names)

    def use_classes(self, class_names: Sequence[str]) -> None:
        """Label by these classes; a folder of another class raises ``DataError``."""
        if further := [name for name in self.class_names if name not in class_names]:
            quoted = ", ".join(f'"{name}"' for name in further)
            raise DataError(
                f"{self.path}: the model does not know {quoted}. Its classes: {', '.join(class_names)}. "
                "Rename or remove them in the data."
            )
        self._class_names, self._splits, self._checked = list(class_names), {}, frozenset()

    def list_files(self) -> dict[str, ImageFiles]:
        """Return the files of ``train`` and, where there are such folders, of ``val`` and ``test``."""
        root = Path(self.path)
        found, unused = folders.find_splits(root), UnusedFiles(root)
        listed = {split: self._list(folder, unused) for split, folder in found.items()}
        folders.report_unused(unused, root, found.values())
        return listed

    def stratify_labels(self, train: ImageFiles) -> Sequence[int]:
        """Return the class of each training image."""
        return train.labels

    def fingerprint(self) -> str:
        """Return a hash of the images and of the class and split of each; known after ``setup``.

        Raises:
            DataError: A file cannot be read.
        """
        names = self.class_names
        splits = {
            split: zip(files.paths, [names[label] for label in files.labels], strict=True)
            for split, files in self._splits.items()
        }
        return self.hash_splits(splits)

    def missing_split(self, split: str) -> str:
        """Return the message for a split without images."""
        return (
            f"{self.path}: there are no images for {split}. Add a folder {split} with one folder per class, set "
            f"{split}_split above 0, or add images: a split needs at least three per class."
        )

    def images_of(self, split: str) -> ImageFiles:
        """Return the images, and log once which classes they lack, if a trainer uses them."""
        images = super().images_of(split)
        if self.trainer is not None and split not in self._checked:
            self._checked |= {split}
            warn_of_missing_classes(split, images.labels, self.class_names)
        return images

    def _list(self, folder: Path, unused: UnusedFiles) -> ImageFiles:
        files = folders.list_classes(folder, self.class_names, self.on_error, unused)
        paths = [path for of_class in files for path in of_class]
        labels = [label for label, of_class in enumerate(files) for _ in of_class]
        return ImageFiles(paths, labels, self.value_range)
