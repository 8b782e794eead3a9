"""Images with a label each in a CSV file or a text file."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from operator import itemgetter
from pathlib import Path
from typing import Any, Literal

from cuelight.data.base.box_annotations import AnnotationErrors
from cuelight.data.base.folders import require_folder
from cuelight.data.base.image_files import ImageFiles
from cuelight.data.base.image_lists import ListedImage, read_image_list
from cuelight.data.datasets.coco import PerSplit
from cuelight.data.datasets.image_folder import ImageFolder
from cuelight.data.finding import is_file
from cuelight.errors import DataError, Problem

_COLUMNS = {"path": "path", "label": "label", "split": "split"}


class ImageList(ImageFolder):
    """Images anywhere, with their labels in CSV files or text files.

    A CSV file has a header with the columns ``path`` and ``label``, perhaps ``split`` (train, val or test), and others
    that are not used; or, instead of ``label``, a column for each class that is 1 for its images and 0 for others. A
    text file has a path and a label in each line, or only a path, whose last folder is named after the class. A missing
    val or test split is taken from the training images, by class.

    Args:
        path: The folder to which the paths are relative; they may also be relative to the folder of their list.
        files: The list, or one for each of ``train``, ``val`` and ``test``, relative to ``path``. Files that end in
            ``.csv`` or ``.tsv`` have a header, others are text files.
        columns: The names of the columns ``path``, ``label`` and ``split``, where they differ from these.
        group_column: A column such as the person or video. Images of one group are in the same split.
        on_error: ``raise`` stops at an image that cannot be read, and at a wrong entry. ``skip`` leaves them out and
            logs how many: in training the next image takes the place of one that cannot be read, in validation and test
            it counts nowhere.
        **options: As for :class:`~cuelight.data.base.image_file_data_module.ImageFileDataModule`.
    """

    def __init__(
        self,
        path: str | Path,
        files: str | PerSplit,
        columns: dict[Literal["path", "label", "split"], str] | None = None,
        group_column: str | None = None,
        **options: Any,
    ) -> None:
        super().__init__(path, **options)
        self.files = files
        self.columns = columns
        self.group_column = group_column
        self._entries: dict[str, dict[str, ListedImage]] | None = None
        self._groups: dict[str, str] = {}

    @classmethod
    def parameter_problems(cls, params: Mapping[str, Any], path: str) -> list[Problem]:
        """Report lists without one of training, and groups of two kinds, too."""
        problems = super().parameter_problems(params, path)
        if isinstance(files := params.get("files"), Mapping) and "train" not in files:
            problems.append(Problem("the list of train is missing.", f"{path}.files"))
        if params.get("group_by") and params.get("group_column"):
            problems.append(Problem("it excludes group_column. Remove one of them.", f"{path}.group_by"))
        return problems

    @property
    def class_names(self) -> list[str]:
        """The labels of the training images, sorted.

        Raises:
            DataError: A list cannot be read, or has no image for training.
        """
        if self._class_names is None:
            self._class_names = sorted({entry.label for entry in self._read()["train"].values()})
        return list(self._class_names)

    def list_files(self) -> dict[str, ImageFiles]:
        """Return the files of ``train`` and, where they are listed, of ``val`` and ``test``."""
        label_of = {name: label for label, name in enumerate(self.class_names)}
        errors = AnnotationErrors(self.path, self.on_error)
        listed = {}
        for split, entries in self._read().items():
            for entry in entries.values():
                if entry.label not in label_of:
                    errors.add(entry.where, f"no training image has the label {entry.label}")
            known = {path: entry for path, entry in entries.items() if entry.label in label_of}
            listed[split] = ImageFiles(list(known), [label_of[e.label] for e in known.values()], self.value_range)
            self._groups |= {path: entry.group for path, entry in known.items()}
        errors.report()
        self._entries = None
        return listed

    def group_names(self, files: ImageFiles) -> list[str] | None:
        """Return the group of each image, all of which are in the same split; ``None`` without groups."""
        if self.group_column is None:
            return super().group_names(files)
        return [self._groups[path] for path in files.paths]

    def missing_split(self, split: str) -> str:
        """Return the message for a split without images."""
        return (
            f"{self.path}: there are no images for {split}. List them, set {split}_split above 0, or add images: a "
            "split needs at least three per class."
        )

    def _read(self) -> dict[str, dict[str, ListedImage]]:
        """Return the entries of each split by the path of their image."""
        if self._entries is None:
            errors = AnnotationErrors(self.path, self.on_error)
            given = () if isinstance(self.files, str) else self.files
            found: dict[str, dict[str, ListedImage]] = {split: {} for split in ("train", *given)}
            first: dict[str, ListedImage] = {}
            for path, entry in sorted(self._find(errors), key=itemgetter(0)):
                if (before := first.setdefault(path, entry)) is entry:
                    found.setdefault(entry.split, {})[path] = entry
                else:
                    errors.add(entry.where, f"{path} is listed before, as {before.label} in {before.where}")
            errors.report()
            if not found["train"]:
                raise DataError(f"{self.path}: there is no image for training in {self.files}.")
            self._entries = found
        return self._entries

    def _find(self, errors: AnnotationErrors) -> Iterator[tuple[str, ListedImage]]:
        """Yield the entries whose image exists, with its path."""
        root = Path(self.path)
        require_folder(root, "Expected the folder to which the paths in the lists are relative.")
        columns: dict[Any, str] = {**_COLUMNS, **(self.columns or {})}
        if self.group_column:
            columns["group"] = self.group_column
        lists: Iterable[tuple[str, str]]
        if isinstance(self.files, str):
            lists = [("", self.files)]
        else:
            lists = self.files.items()
            del columns["split"]
        for split, name in lists:
            file = root / name
            for entry in read_image_list(file, columns, errors):
                places = (os.path.normpath(folder / entry.path) for folder in (root, file.parent))
                path = next(filter(is_file, places), None)
                if path is None:
                    errors.add(entry.where, f"there is no image {root / entry.path}")
                else:
                    yield path, entry._replace(split=split or entry.split or "train")
