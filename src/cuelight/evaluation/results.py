"""The files of an evaluation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cuelight.evaluation.confusion_matrix import draw_confusion_matrix
from cuelight.evaluation.evaluator import Split
from cuelight.utils.environment import with_references
from cuelight.utils.files import atomic_write, relative_to_run, write_json

TEST_FOLDER = "test"
EXAMPLES = "predictions"
"""The name of the picture of examples."""

Table = Sequence[Sequence[Any]]
"""A row with the names of both columns, then rows of a name and a value."""


@runtime_checkable
class ReportsTables(Protocol):
    """A module with more results than metrics after an evaluation."""

    def result_tables(self, class_names: Sequence[str] | None) -> Mapping[str, Table]:
        """Return each table by its name, a key of ``test/results.json``; none if nothing was counted."""


@runtime_checkable
class DrawsResults(Protocol):
    """A module that draws results of an evaluation, such as curves."""

    def result_pictures(self) -> Mapping[str, Image.Image]:
        """Return each picture by the name of its file, without an ending; none if nothing was counted."""


@dataclass(frozen=True)
class Measurement:
    """The results of an evaluation."""

    checkpoint: Path
    fingerprint: str
    view: Split
    metrics: dict[str, float] = field(default_factory=dict)  # by name, such as test/accuracy
    confusion: NDArray[np.int64] | None = None  # (classes, classes), a row for each true class
    class_names: tuple[str, ...] | None = None
    unit: str = "images"  # what the confusion matrix counts
    tables: Mapping[str, Table] = field(default_factory=dict)  # such as a value for each class
    pictures: Mapping[str, Image.Image] = field(default_factory=dict)  # such as predictions, beside their targets
    data: Mapping[str, Any] = field(default_factory=dict)  # path, fingerprint and number of images


def write_results(directory: Path, measured: Measurement, folder: str = TEST_FOLDER) -> list[Path]:
    """Write results to ``test/results.json``, with pictures of the confusion matrix and of examples.

    Other splits than ``test`` have files of their own, such as ``results_val.json``. Returns the files.
    """
    path = results_path(directory, measured.view, folder)
    entry: dict[str, Any] = {
        "checkpoint": with_references(relative_to_run(measured.checkpoint, directory)),
        "weights_fingerprint": measured.fingerprint,
        "metrics": measured.metrics,
        "data": dict(measured.data),
    }
    files = [path]
    if measured.confusion is not None:
        entry["class_names"] = class_names(measured) if measured.class_names else None
        entry["confusion_unit"] = measured.unit
        entry["confusion_matrix"] = measured.confusion.tolist()
        files.append(confusion_picture(directory, measured.view, folder))
        draw_confusion_matrix(measured.confusion, class_names(measured), files[-1], measured.unit)
    for name, (columns, *rows) in measured.tables.items():
        entry[name] = {str(row): value for row, value in rows}
        entry.setdefault("columns", {})[name] = list(columns)
    picture_path(directory, EXAMPLES, measured.view, folder).unlink(missing_ok=True)  # of an earlier measurement
    for name, picture in measured.pictures.items():
        files.append(picture_path(directory, name, measured.view, folder))
        with atomic_write(files[-1]) as file:
            picture.save(file, "PNG")
    write_json(path, {measured.view: entry})
    return files


def results_path(directory: Path, view: Split, folder: str = TEST_FOLDER) -> Path:
    """Return the JSON file of a split."""
    return directory / folder / ("results.json" if view == "test" else f"results_{view}.json")


def confusion_picture(directory: Path, view: Split, folder: str = TEST_FOLDER) -> Path:
    """Return the file of the confusion matrix of a split."""
    return directory / folder / f"confusion_matrix_{view}.png"


def picture_path(directory: Path, name: str, view: Split, folder: str = TEST_FOLDER) -> Path:
    """Return the file of a picture of a split."""
    return directory / folder / (f"{name}.png" if view == "test" else f"{name}_{view}.png")


def class_names(measured: Measurement) -> list[str]:
    """Return a name for each class of the confusion matrix; an index where none is given."""
    count = len(measured.confusion) if measured.confusion is not None else 0
    given = list(measured.class_names or ())
    return [*given[:count], *(str(index) for index in range(len(given), count))]
