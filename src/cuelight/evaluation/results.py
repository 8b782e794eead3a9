"""Where the results of measurements are kept."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cuelight.errors import CuelightError
from cuelight.evaluation.confusion_matrix import draw_confusion_matrix
from cuelight.evaluation.evaluator import View
from cuelight.files import relative_to_run, write_json

TEST_FOLDER = "test"


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
    """

    checkpoint: Path
    fingerprint: str
    view: View
    metrics: dict[str, float] = field(default_factory=dict)
    confusion: NDArray[np.int64] | None = None
    class_names: tuple[str, ...] | None = None


def write_results(directory: Path, measured: Measurement) -> list[Path]:
    """Write a measurement to ``test/results.json``, and draw its confusion matrix.

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
        entry["class_names"] = list(measured.class_names) if measured.class_names else None
        entry["confusion_matrix"] = measured.confusion.tolist()
        files.append(path.with_name(f"confusion_matrix_{measured.view}.png"))
        draw_confusion_matrix(measured.confusion, measured.class_names, files[-1])
    write_json(path, {measured.view: entry})
    return files


def results_path(directory: Path, view: View) -> Path:
    """Tell where the measurement of a view is kept.

    Args:
        directory: The run directory.
        view: The split of the data.

    Returns:
        The path.
    """
    return directory / TEST_FOLDER / ("results.json" if view == "test" else f"results_{view}.json")


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
