"""Logged metrics over the optimizer steps."""

from __future__ import annotations

import csv
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cuelight.errors import CuelightError
from cuelight.report.reading import files_in

METRICS_FILE = "metrics.csv"
EVENT_FILES = "events.out.tfevents.*"
_EPOCH = "epoch"
_STEP = "step"

Point = tuple[int, float]


@dataclass(frozen=True)
class Curves:
    """The logged metrics of a run.

    Args:
        points: The steps and values of each metric, ordered by step; values may be NaN or infinite.
        epochs: The last step of each epoch, counted from 1.
        source: The files that were read, relative to the run directory.
    """

    points: Mapping[str, Sequence[Point]] = field(default_factory=dict)
    epochs: Mapping[int, int] = field(default_factory=dict)
    source: str = ""

    @property
    def last_step(self) -> int:
        """The last step at which anything was logged."""
        return max((points[-1][0] for points in self.points.values()), default=0)


def read_curves(directory: Path, elsewhere: str = "") -> Curves:
    """Read the metrics from ``metrics.csv``, or from TensorBoard event files if there is none.

    Files in the run directory come first, then the newest in its subfolders, where your own Trainer may have written.
    If there are none, the message of the ``CuelightError`` names the trackers in ``elsewhere``.
    """
    tables = _newest_first(directory, METRICS_FILE)
    if tables:
        return _collected(_rows(tables[0]), tables[0].relative_to(directory).as_posix())
    events = _newest_first(directory, EVENT_FILES)
    if events:
        from cuelight.report.event_files import read_scalars  # noqa: PLC0415 - TensorBoard takes seconds to import

        folder = events[0].parent
        return _collected(read_scalars(folder), (folder.relative_to(directory) / EVENT_FILES).as_posix())
    raise CuelightError(
        "The run directory has no logged values: neither metrics.csv nor event files of TensorBoard. They may be in "
        f"{elsewhere or 'a tracker'}. To keep them in the run directory, train with tracker: {{csv: true}}."
    )


def _newest_first(directory: Path, pattern: str) -> list[Path]:
    ages = {file: -status.st_mtime for file, status in files_in(directory, pattern)}
    return sorted(ages, key=lambda file: (file.parent != directory, ages[file]))


def _rows(table: Path) -> Iterable[tuple[int, dict[str, float]]]:
    try:
        with table.open(newline="", encoding="utf-8", errors="replace") as file:
            for row in csv.DictReader(file):
                values = {name: _float(text) for name, text in row.items() if name and isinstance(text, str)}
                step = values.pop(_STEP, None)
                if step is not None and math.isfinite(step):  # the last line of a killed run may be cut
                    yield int(step), {name: value for name, value in values.items() if value is not None}
    except (OSError, csv.Error) as error:
        raise CuelightError(f"{table.name} cannot be read: {error}. Fix its permissions, or delete it.") from error


def _float(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _collected(rows: Iterable[tuple[int, Mapping[str, float]]], source: str) -> Curves:
    points: dict[str, list[Point]] = defaultdict(list)
    epochs: dict[int, int] = {}
    for step, values in rows:
        for name, value in values.items():
            if name != _EPOCH:
                points[name].append((step, value))
            elif math.isfinite(value):
                epochs[int(value) + 1] = max(step, epochs.get(int(value) + 1, 0))
    if not points:
        raise CuelightError(f"{source} has no logged values yet.")
    ordered = {name: sorted(found, key=lambda point: point[0]) for name, found in sorted(points.items())}
    return Curves(ordered, dict(sorted(epochs.items())), source)
