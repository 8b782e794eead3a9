"""Images with labels or boxes in a dataset of luxonis-ml (LDF)."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, ClassVar

from cuelight.data.base.box_annotations import (
    RELATIVE,
    AnnotatedImage,
    AnnotatedObject,
    AnnotationErrors,
    Annotations,
)
from cuelight.data.base.box_file_data_module import BoxFileDataModule
from cuelight.data.base.folders import SPLIT_OF, require_folder
from cuelight.data.base.image_file_data_module import ImageFileDataModule
from cuelight.data.base.image_files import ImageFiles
from cuelight.data.datasets.image_folder import ImageFolder
from cuelight.data.finding import is_file
from cuelight.errors import DataError

_LAYOUT = "Expected the folder of a dataset, such as luxonis_ml/data/offline/datasets/parking_lot in your home."


class LuxonisFileDataModule(ImageFileDataModule[Any]):
    """Image files of a dataset of luxonis-ml on this machine, which are read where they are.

    The splits are those of ``make_splits``. A missing val or test split is taken from the training images.

    Args:
        path: The folder of the dataset: ``data/<team>/datasets/<name>`` in that of luxonis-ml.
        task_name: The task to learn, if the dataset has several.
        **options: As for :class:`~cuelight.data.base.image_file_data_module.ImageFileDataModule`.
    """

    task_type: ClassVar[str]

    def __init__(self, path: str | Path, task_name: str | None = None, **options: Any) -> None:
        super().__init__(path, **options)
        self.task_name = task_name
        self._root = Path(path)

    @property
    def images_root(self) -> Path:
        """The folder that contains all images; known after they are listed."""
        return self._root

    def missing_split(self, split: str) -> str:
        """Return the message for a split without images."""
        return f"{self.path}: there are no images for {split}. Add some with make_splits, or set {split}_split above 0."

    def read_records(self, errors: AnnotationErrors) -> tuple[list[str], dict[str, dict[str, list[dict[str, Any]]]]]:
        """Return the names of the classes, and for each split its images, each with the records of the task.

        An image that is missing is added to ``errors``.

        Raises:
            DataError: luxonis-ml is not installed with its extra ``data``, or there is no such dataset or task, or it
                cannot be read.
        """
        dataset, table = _open(Path(self.path))
        task = self._find_task(dataset.get_tasks())
        groups: dict[str, dict[str, list[dict[str, Any]]]] = {}
        for row in table.iter_rows(named=True):
            records = groups.setdefault(row["group_id"], {}).setdefault(row["file"], [])
            if (row["task_name"], row["task_type"]) == (task, self.task_type):
                records.append(row)
        folders = [Path(file).absolute().parent for images in groups.values() for file in images]
        self._root = Path(os.path.commonpath(folders))
        splits: dict[str, dict[str, list[dict[str, Any]]]] = {"train": {}}
        for split, members in (dataset.get_splits() or {}).items():
            for file, records in (item for group in members for item in groups.get(group, {}).items()):
                if is_file(file):
                    splits.setdefault(SPLIT_OF.get(split, split), {})[file] = records
                else:
                    errors.add(f"{self.path}: {split}", f"there is no image {file}")
        if not splits["train"]:
            raise DataError(f"{self.path}: there are no images for training. Make them with dataset.make_splits().")
        classes = dataset.get_classes()[task]
        return sorted(classes, key=classes.__getitem__), {s: splits[s] for s in ("train", "val", "test") if s in splits}

    def _find_task(self, tasks: dict[str, list[str]]) -> str:
        fitting = [name for name, types in tasks.items() if self.task_type in types]
        chosen = fitting if self.task_name is None else [name for name in fitting if name == self.task_name]
        if len(chosen) != 1:
            listed = ", ".join(f'"{name}"' for name in fitting) or "none"
            raise DataError(f"{self.path}: its tasks of the type {self.task_type}: {listed}. Set task_name to one.")
        return chosen[0]


class LuxonisClassification(LuxonisFileDataModule, ImageFolder):
    """Images with a label each in a dataset of luxonis-ml."""

    task_type = "classification"

    @property
    def class_names(self) -> list[str]:
        """The classes of the task, in its order."""
        if self._class_names is None:
            self._class_names, _ = self.read_records(AnnotationErrors(self.path, self.on_error))
        return list(self._class_names)

    def list_files(self) -> dict[str, ImageFiles]:
        """Return the files of ``train`` and, where they exist, of ``val`` and ``test``."""
        label_of = {name: label for label, name in enumerate(self.class_names)}
        errors = AnnotationErrors(self.path, self.on_error)
        listed = {}
        for split, images in self.read_records(errors)[1].items():
            used = {}
            for file, records in sorted(images.items()):
                names = {record["class_name"] for record in records}
                if len(names) == 1 and names <= label_of.keys():
                    used[file] = label_of[names.pop()]
                else:
                    errors.add(file, f"expected one label, got {', '.join(sorted(names)) or 'none'}")
            listed[split] = ImageFiles(list(used), list(used.values()), self.value_range)
        errors.report()
        return listed


class LuxonisDetection(LuxonisFileDataModule, BoxFileDataModule):
    """Images with boxes in a dataset of luxonis-ml."""

    task_type = "boundingbox"

    def read_annotations(self, errors: AnnotationErrors) -> Annotations:
        """Return the images of ``train`` and, where they exist, of ``val`` and ``test``."""
        names, splits = self.read_records(errors)
        return Annotations(
            names,
            {
                split: [
                    AnnotatedImage(file, RELATIVE, [_to_object(file, record) for record in records])
                    for file, records in images.items()
                ]
                for split, images in splits.items()
            },
        )


def _to_object(file: str, record: dict[str, Any]) -> AnnotatedObject:
    box = json.loads(record["annotation"])
    edges = (box["x"], box["y"], box["x"] + box["w"], box["y"] + box["h"])
    return AnnotatedObject(record["class_name"], edges, False, f"{file}: object {record['instance_id']}")


def _open(folder: Path) -> tuple[Any, Any]:
    """Return the ``LuxonisDataset`` in a folder, which luxonis-ml itself finds by its name, and its records."""
    require_folder(folder, _LAYOUT)
    above = folder.absolute().parents
    if [each.name for each in above[:3:2]] != ["datasets", "data"] or not (folder / "metadata").is_dir():
        raise DataError(f"{folder}: this is no dataset of luxonis-ml. {_LAYOUT}")
    try:
        import polars as pl  # noqa: PLC0415 - luxonis-ml needs it, too
        from luxonis_ml.data import LuxonisDataset  # noqa: PLC0415 - an extra
        from luxonis_ml.data.utils.constants import LDF_VERSION  # noqa: PLC0415
        from luxonis_ml.utils import environ  # noqa: PLC0415
    except ImportError as error:
        raise DataError('luxonis-ml is not installed with its data. Run: pip install "cuelight[ldf]"') from error
    before, environ.LUXONISML_BASE_PATH = environ.LUXONISML_BASE_PATH, above[3]
    try:
        dataset = LuxonisDataset(folder.name, team_id=above[1].name)
        tables = [pl.read_parquet(file) for file in sorted((folder / "annotations").glob("*.parquet"))]
        table = pl.concat([pl.DataFrame(), *tables], how="diagonal_relaxed")
    except (OSError, ValueError, LookupError, TypeError, pl.exceptions.PolarsError) as error:
        reason = str(error).partition("\n")[0]
        raise DataError(f"{folder}: luxonis-ml cannot read this dataset: {reason}") from error
    finally:
        environ.LUXONISML_BASE_PATH = before
    if dataset.version.major != LDF_VERSION.major:
        raise DataError(f"{folder}: it is in LDF {dataset.version}, but luxonis-ml in {LDF_VERSION}. Make it again.")
    if table.is_empty():
        raise DataError(f"{folder}: this dataset is empty. Add images with dataset.add().")
    return dataset, table
