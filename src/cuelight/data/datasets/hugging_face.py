"""Images and labels in a dataset that the package ``datasets`` of Hugging Face saved on disk."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cuelight.data.base.box_annotations import AnnotationErrors
from cuelight.data.base.fingerprints import hash_files
from cuelight.data.base.folders import SPLIT_OF, names_of_splits, require_folder
from cuelight.data.base.image_files import ImageFiles
from cuelight.data.datasets.image_folder import ImageFolder
from cuelight.data.reading import UnreadableImageError, read_image
from cuelight.errors import DataError, did_you_mean
from cuelight.images.value_range import ValueRange

logger = logging.getLogger(__name__)

_LAYOUT = "Expected the folder that save_to_disk of a Dataset or a DatasetDict wrote."


class TableImages(ImageFiles):
    """Images in a column of a table, each with its row, a name for messages, and a label."""

    def __init__(
        self,
        table: Any,
        column: str,
        rows: Iterable[int],
        paths: Sequence[str],
        labels: Sequence[int],
        value_range: ValueRange | None = None,
    ) -> None:
        super().__init__(paths, labels, value_range)
        self.table = table
        self.column = column
        self.rows = list(rows)

    def __getitem__(self, index: int) -> tuple[Image.Image, int]:
        """Read an image; ``UnreadableImageError`` is raised if the cell is empty or has no image."""
        path, cell = self.paths[index], self.table.column(self.column)[self.rows[index]].as_py() or {}
        if cell.get("bytes") is None and not cell.get("path"):
            raise UnreadableImageError(path, "the cell is empty")
        source = path if cell.get("bytes") is not None else cell["path"]
        return read_image(source, self.value_range, cell.get("bytes")), self.labels[index]

    def part(self, positions: Sequence[int] | NDArray[np.int64]) -> TableImages:
        """Return the images at these positions, in this order."""
        rows, paths = [self.rows[i] for i in positions], [self.paths[i] for i in positions]
        labels = [self.labels[i] for i in positions]
        return TableImages(self.table, self.column, rows, paths, labels, self.value_range)


class HuggingFaceImages(ImageFolder):
    """Images and labels in a dataset that ``save_to_disk`` of the package ``datasets`` wrote; nothing is downloaded.

    A ``DatasetDict`` has the splits train, validation and test; a ``Dataset`` is all for training. A missing val or
    test split is taken from the training images, by class. The classes are those of a column of the type
    ``ClassLabel``, in their order, or the texts in a column of texts, sorted.

    Args:
        path: The folder.
        image_column: The column of the images.
        label_column: The column of the labels.
        on_error: ``raise`` stops at an image that cannot be read, and at a row without a label. ``skip`` leaves them
            out and logs how many: in training the next image takes the place of one that cannot be read, in validation
            and test it counts nowhere.
        **options: As for :class:`~cuelight.data.base.image_file_data_module.ImageFileDataModule`. The path of an image,
            for ``group_by``, is its split, its row and its name, such as ``train/17/person3_a.jpg``.
    """

    def __init__(
        self, path: str | Path, image_column: str = "image", label_column: str = "label", **options: Any
    ) -> None:
        super().__init__(path, **options)
        self.image_column = image_column
        self.label_column = label_column

    @property
    def class_names(self) -> list[str]:
        """The names of the classes.

        Raises:
            DataError: The dataset cannot be read, or has no such column.
        """
        if self._class_names is None:
            train = self._load()["train"]
            named = getattr(train.features[self.label_column], "names", None)
            self._class_names = list(named or sorted(set(self._label_names(train)) - {None}))
        return list(self._class_names)

    def list_files(self) -> dict[str, ImageFiles]:
        """Return the images of ``train`` and, where they exist, of ``val`` and ``test``."""
        label_of = {name: label for label, name in enumerate(self.class_names)}
        errors = AnnotationErrors(self.path, self.on_error)
        return {split: self._images_of(split, rows, label_of, errors) for split, rows in self._load().items()}

    def fingerprint(self) -> str:
        """Return a hash of the files of the dataset, and of the class and split of each row; known after ``setup``.

        Raises:
            DataError: A file cannot be read.
        """
        root, names = Path(self.path), self.class_names
        files = sorted(root.rglob("data-*.arrow"))
        kind, _, digits = hash_files(root, {"": ((str(file), "") for file in files)}).fingerprint.partition(":")
        digest = hashlib.sha256(digits.encode())
        for split, images in sorted(self._splits.items()):
            for path, label in zip(images.paths, images.labels, strict=True):
                digest.update(f"{split} {Path(path).relative_to(root)} {names[label]}\0".encode())
        return f"{kind}:{digest.hexdigest()}"

    def missing_split(self, split: str) -> str:
        """Return the message for a split without images."""
        return (
            f"{self.path}: there are no images for {split}. Save a DatasetDict with this split, set {split}_split above"
            " 0, or add images: a split needs at least three per class."
        )

    def _load(self) -> dict[str, Any]:
        """Return the dataset of each split."""
        root = Path(self.path)
        require_folder(root, _LAYOUT)
        try:
            import datasets  # noqa: PLC0415 - an extra
        except ImportError as error:
            raise DataError('the package datasets is not installed. Run: pip install "cuelight[hf]"') from error
        try:
            loaded = datasets.load_from_disk(str(root))
        except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
            raise DataError(f"{root}: {str(error).rstrip('.')}. {_LAYOUT}") from error
        splits = {"train": loaded} if isinstance(loaded, datasets.Dataset) else dict(loaded)
        known = {split: splits[name] for split, name in names_of_splits(splits, root).items()}
        if others := [name for name in splits if name not in SPLIT_OF]:
            logger.warning("%s: not used: the splits %s", root, ", ".join(others))
        if "train" not in known:
            raise DataError(f"{root}: there is no split train among {', '.join(splits)}. {_LAYOUT}")
        for split, rows in known.items():
            for name in (self.image_column, self.label_column):
                if name not in rows.features:
                    found = f"{did_you_mean(name, rows.features)} It has: {', '.join(rows.features)}"
                    raise DataError(f"{root}: {split} has no column {name}.{found}. Set image_column and label_column.")
            if not isinstance(rows.features[self.image_column], datasets.Image):
                raise DataError(f"{root}: the column {self.image_column} of {split} has no images. Set image_column.")
        return known

    def _label_names(self, rows: Any) -> list[str | None]:
        """Return the class of each row; ``None`` without one."""
        values, feature = rows.data.column(self.label_column).to_pylist(), rows.features[self.label_column]
        if hasattr(feature, "names"):
            names = dict(enumerate(feature.names))
            return [None if value is None or value < 0 else names.get(value, f"number {value}") for value in values]
        if not all(value is None or isinstance(value, str) for value in values):
            raise DataError(
                f"{self.path}: the column {self.label_column} has {feature}; expected ClassLabel or texts. Set "
                "label_column, or cast it with class_encode_column and save the dataset again."
            )
        return [value or None for value in values]

    def _images_of(self, split: str, rows: Any, label_of: dict[str, int], errors: AnnotationErrors) -> TableImages:
        images = rows.data.column(self.image_column)
        stored = images.flatten()[images.type.get_field_index("path")].to_pylist()
        paths = [str(Path(self.path, split, str(row), Path(name or "").name)) for row, name in enumerate(stored)]
        names = self._label_names(rows)
        for path, name in zip(paths, names, strict=True):
            if name not in label_of:
                errors.add(path, f"its label {name} is not among those of training" if name else "there is no label")
        errors.report()
        used = {row: label_of[name] for row, name in enumerate(names) if name in label_of}
        labels = list(used.values())
        return TableImages(rows.data, self.image_column, used, [paths[row] for row in used], labels, self.value_range)
