"""Where the results of measurements are kept."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cuelight.errors import CuelightError
from cuelight.evaluation.confusion_matrix import draw_confusion_matrix
from cuelight.evaluation.evaluator import Split
from cuelight.utils.files import atomic_write, relative_to_run, write_json

TEST_FOLDER = "test"

Table = Sequence[Sequence[Any]]
"""Rows of a name and a value, below a row with the names of both columns."""


@runtime_checkable
class ReportsTables(Protocol):
    """A module that has more results than metrics once it was measured."""

    def result_tables(self, class_names: Sequence[str] | None) -> Mapping[str, Table]:
        """Return each table by its name, which becomes a key of ``test/results.json``; none if nothing was counted."""


@dataclass(frozen=True)
class Measurement:
    """What was measured.

    Args:
        checkpoint: The file.
        fingerprint: The fingerprint of its weights.
        view: Which split of the data.
        metrics: Each metric by its name, such as ``test/accuracy``.
        confusion: Counts ``(classes, classes)``, a row for each true class, if the module counted them.
        class_names: The name of each class.
        unit: What the confusion matrix counts.
        tables: More results by name, such as a value for each class.
        examples: A picture of a few predictions.
    """

    checkpoint: Path
    fingerprint: str
    view: Split
    metrics: dict[str, float] = field(default_factory=dict)
    confusion: NDArray[np.int64] | None = None
    class_names: tuple[str, ...] | None = None
    unit: str = "images"
    tables: Mapping[str, Table] = field(default_factory=dict)
    examples: Image.Image | None = None


def write_results(directory: Path, measured: Measurement) -> list[Path]:
    """Write a measurement to ``test/results.json``, and its pictures: confusion matrix and predictions.

    Args:
        directory: The run directory.
        measured: What was measured; another view than ``test`` gets a file of its own, such as ``results_val.json``.

    Returns:
        The files that were written.
    """
    path = results_path(directory, measured.view)
    entry: dict[str, Any] = {
        "checkpoint": relative_to_run(measured.checkpoint, directory),
        "weights_fingerprint": measured.fingerprint,
        "metrics": measured.metrics,
    }
    files = [path]
    if measured.confusion is not None:
        entry["class_names"] = class_names(measured) if measured.class_names else None
        entry["confusion_unit"] = measured.unit
        entry["confusion_matrix"] = measured.confusion.tolist()
        files.append(confusion_picture(directory, measured.view))
        draw_confusion_matrix(measured.confusion, class_names(measured), files[-1], measured.unit)
    for name, (columns, *rows) in measured.tables.items():
        entry[name] = {str(row): value for row, value in rows}
        entry.setdefault("columns", {})[name] = list(columns)
    if measured.examples is not None:
        files.append(examples_picture(directory, measured.view))
        with atomic_write(files[-1]) as file:
            measured.examples.save(file, "PNG")
    write_json(path, {measured.view: entry})
    return files


def results_path(directory: Path, view: Split) -> Path:
    """Return where the measurement of a view is kept."""
    return directory / TEST_FOLDER / ("results.json" if view == "test" else f"results_{view}.json")


def confusion_picture(directory: Path, view: Split) -> Path:
    """Return where the picture of the confusion matrix of a view is kept."""
    return directory / TEST_FOLDER / f"confusion_matrix_{view}.png"


def examples_picture(directory: Path, view: Split) -> Path:
    """Return where the picture of a few predictions of a view is kept."""
    return directory / TEST_FOLDER / ("predictions.png" if view == "test" else f"predictions_{view}.png")


def class_names(measured: Measurement) -> list[str]:
    """Name each class of a confusion matrix."""
    count = len(measured.confusion) if measured.confusion is not None else 0
    given = list(measured.class_names or ())
    return [*given[:count], *(str(index) for index in range(len(given), count))]


def read_results(path: Path) -> dict[str, Any]:
    """Read a measurement.

    Args:
        path: The file.

    Returns:
        What was measured, by its view.

    Raises:
        CuelightError: If the file is damaged.
    """
    try:
        results: dict[str, Any] = json.loads(path.read_text())
    except ValueError as error:
        raise CuelightError(f"{path}: this file is damaged: {error}. Delete it and test again.") from error
    return results
