"""Writing of the report: reads the run directory, draws the charts, renders the page."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from cuelight.errors import CheckpointError, CuelightError, NoSuchRunError
from cuelight.provenance.record import METADATA_FILE
from cuelight.report.charts import Best, chart_of
from cuelight.report.curves import EVENT_FILES, METRICS_FILE, Curves, read_curves
from cuelight.report.galleries import (
    EXPLAIN_FOLDER,
    GRADCAM_FOLDER,
    Gallery,
    curve_gallery,
    example_gallery,
    newest_gallery,
    prediction_gallery,
)
from cuelight.report.grouping import KINDS, panels_of
from cuelight.report.inspected import INSPECTION_FOLDER, read_inspection, sample_gallery
from cuelight.report.measurements import read_measurements
from cuelight.report.reading import Problems
from cuelight.report.rendering import render
from cuelight.report.settings import (
    Files,
    hide_variables,
    list_files,
    read_callbacks,
    read_config,
    read_metadata,
    read_name,
    read_trackers,
)
from cuelight.report.steps import Steps, read_steps
from cuelight.report.verdicts import Verdict, best_of, read_record, verdict_of
from cuelight.train_end.outcomes import OUTCOMES_FILE
from cuelight.utils.files import short_path, write_text
from cuelight.utils.run_directory import CHECKPOINT_FOLDER, CONFIG_FILE, TRAINING_FILE, refuse_special_files

Charts = dict[str, list[dict[str, Any]]]

REPORT_FILE = "report.html"
_MOST_TILES = 3
_SIGNS_OF_A_RUN = (
    CONFIG_FILE,
    TRAINING_FILE,
    OUTCOMES_FILE,
    METRICS_FILE,
    METADATA_FILE,
    CHECKPOINT_FOLDER,
    GRADCAM_FOLDER,
)


def write_report(run: str | Path, output: str | Path | None = None) -> Path:
    """Write a run as one HTML page that needs no other file and no network.

    Args:
        run: A run directory, complete or not, or a checkpoint in it. The folder of your own Trainer works too.
        output: The file to write; ``report.html`` in the run directory if left out.

    Returns:
        The page. It names what is missing or damaged in the run.

    Raises:
        CheckpointError: If there is no run at that path.
        WriteError: If the page cannot be written.
    """
    directory = _directory_of(Path(run))
    refuse_special_files(directory)
    page = Path(output) if output is not None else directory / REPORT_FILE
    if page.is_dir():
        raise CuelightError(f"{page}: this is a folder. Pass the file to write, such as {page / REPORT_FILE}.")
    write_text(page, render(_contents(directory, page.absolute())))
    return page


def _directory_of(path: Path) -> Path:
    if not path.exists():
        raise NoSuchRunError(f"{path}: there is no such run directory or checkpoint.")
    path = path.resolve()
    if path.is_file():
        path = next((parent.parent for parent in path.parents if parent.name == CHECKPOINT_FOLDER), path.parent)
    if any((path / sign).exists() for sign in _SIGNS_OF_A_RUN):
        return path
    runs = sorted(file.parent for file in path.glob(f"*/**/{CONFIG_FILE}"))
    if runs:
        raise CheckpointError(
            f"{path}: this is not a run directory, but contains {len(runs)} of them. Pass one, such as "
            f"{short_path(runs[-1])}."
        )
    if not any(path.rglob(EVENT_FILES)):
        raise CheckpointError(
            f"{path}: this is not a run directory: it has no files of a training. Expected a folder such as "
            "runs/<name>/<time>-<id>."
        )
    return path


def _contents(directory: Path, page: Path) -> dict[str, Any]:
    """Return the variables of the template."""
    problems = Problems()
    problems.guard("config", lambda: hide_variables(directory), lambda: None)
    record: dict[str, Any] = problems.guard("record", lambda: read_record(directory), dict)
    elsewhere = problems.guard("config", lambda: read_trackers(directory), str)
    curves = problems.guard("curves", lambda: read_curves(directory, elsewhere), Curves)
    best = problems.guard("best", lambda: best_of(record, curves), lambda: None)
    charts: Charts = problems.guard("curves", lambda: _charts(curves, best, problems), dict)
    steps = problems.guard("steps", lambda: read_steps(directory), Steps)
    measured: list[dict[str, Any]] = problems.guard("measurements", lambda: read_measurements(directory), list)
    return {
        "name": problems.guard("config", lambda: read_name(directory), lambda: directory.name),
        "directory": directory,
        "run": shlex.quote(short_path(directory)),
        "has_commands": (directory / CONFIG_FILE).is_file(),  # they cannot open the folder of another Trainer
        "links": os.path.relpath(directory, page.parent),
        "verdict": problems.guard("record", lambda: verdict_of(directory, record, steps), Verdict),
        "best": best,
        "curves": curves,
        "charts": charts,
        "drawn": sum(len(chart["lines"]) for drawn in charts.values() for chart in drawn),
        "measurements": measured,
        "tiles": _tiles(measured, best),
        "test_curves": problems.guard("measurements", lambda: curve_gallery(directory), Gallery),
        "examples": problems.guard("predictions", lambda: example_gallery(directory), Gallery),
        "predictions": problems.guard("predictions", lambda: prediction_gallery(directory), Gallery),
        "gradcam": problems.guard("gradcam", lambda: newest_gallery(directory, GRADCAM_FOLDER), Gallery),
        "explained": problems.guard("gradcam", lambda: newest_gallery(directory, EXPLAIN_FOLDER), Gallery),
        "inspected": problems.guard("inspection", lambda: read_inspection(directory / INSPECTION_FOLDER), lambda: None),
        "samples": problems.guard("inspection", lambda: sample_gallery(directory, INSPECTION_FOLDER), Gallery),
        "steps": steps,
        "callbacks": problems.guard("callbacks", lambda: read_callbacks(directory, record), list),
        "callbacks_recorded": "callbacks" in record,
        "metadata": problems.guard("metadata", lambda: read_metadata(directory), list),
        "config": problems.guard("config", lambda: read_config(directory), str),
        "files": problems.guard("files", lambda: list_files(directory, page), Files),
        "problems": problems,
    }


def _charts(curves: Curves, best: Best | None, problems: Problems) -> Charts:
    """Return the charts by heading, without those that cannot be drawn."""
    charts: Charts = {}
    for panel in panels_of(curves, best.monitor if best else ""):
        draw = partial(chart_of, panel, curves.last_step, curves.epochs, best)
        chart: dict[str, Any] = problems.guard(f"chart of {panel.quantity}", draw, dict)
        if chart:
            charts.setdefault(KINDS[panel.kind], []).append(chart)
    return charts


def _tiles(measured: Sequence[Mapping[str, Any]], best: Best | None) -> list[tuple[str, str]]:
    """Return the first metrics, beginning with the one by which the best checkpoint is chosen."""
    wanted = best.monitor.rpartition("/")[2] if best else ""
    found = measured[0]["metrics"] if measured else ()
    return sorted(found, key=lambda metric: metric[0].rpartition("/")[2] != wanted)[:_MOST_TILES]
