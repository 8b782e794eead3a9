"""Logged metrics over the optimizer steps."""

from __future__ import annotations

import csv
import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO

from cuelight.errors import CuelightError
from cuelight.report.reading import files_in

METRICS_FILE = "metrics.csv"
EVENT_FILES = "events.out.tfevents.*"
MOST_POINTS = 800
_PLACEHOLDER = ("hp_metric", -1.0)  # which Lightning's logger writes for TensorBoard
_LONGEST_LINE = 16 * 1024**2

Point = tuple[int, float]


@dataclass(frozen=True)
class Curves:
    """The logged metrics of a run, ordered by step. Values may be NaN or infinite."""

    points: Mapping[str, Sequence[Point]] = field(default_factory=dict)
    epochs: Mapping[int, int] = field(default_factory=dict)  # the last step of each epoch, counted from 1
    source: str = ""  # the files that were read, relative to the run directory

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
        folder = events[0].parent
        return _collected(_scalars(folder), (folder.relative_to(directory) / EVENT_FILES).as_posix())
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
            for row in csv.DictReader(_lines(file)):
                values = {name: _float(text) for name, text in row.items() if name and isinstance(text, str)}
                step = values.pop("step", None)
                if step is not None and math.isfinite(step):  # the last line of a killed run may be cut
                    yield int(step), {name: value for name, value in values.items() if value is not None}
    except (OSError, csv.Error) as error:
        raise CuelightError(f"{table.name} cannot be read: {error}. Fix its permissions, or delete it.") from error


def _lines(file: TextIO) -> Iterator[str]:
    while line := file.readline(_LONGEST_LINE):
        if len(line) == _LONGEST_LINE:
            raise csv.Error(f"a line has more than {_LONGEST_LINE} characters")
        yield line


def _float(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _scalars(folder: Path) -> Iterable[tuple[int, dict[str, float]]]:
    """Read the event files of a folder. After a resume, new values replace the earlier ones."""
    # TensorBoard takes seconds to import.
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator  # noqa: PLC0415

    accumulator = EventAccumulator(str(folder), size_guidance={"scalars": 0})
    accumulator.Reload()
    for name in accumulator.Tags()["scalars"]:
        for event in accumulator.Scalars(name):
            if (name, event.value) != _PLACEHOLDER:
                yield event.step, {name: event.value}


def _collected(rows: Iterable[tuple[int, Mapping[str, float]]], source: str) -> Curves:
    points: dict[str, list[Point]] = defaultdict(list)
    epochs: dict[int, int] = {}
    for step, values in rows:
        for name, value in values.items():
            if name != "epoch":
                points[name].append((step, value))
            elif math.isfinite(value):
                epochs[int(value) + 1] = max(step, epochs.get(int(value) + 1, 0))
    if not points:
        raise CuelightError(f"{source} has no logged values yet.")
    ordered = {name: sorted(found, key=lambda point: point[0]) for name, found in sorted(points.items())}
    return Curves(ordered, dict(sorted(epochs.items())), source)


def thinned(points: Sequence[Point], most: int = MOST_POINTS) -> list[Point]:
    """Reduce a curve to at most ``most`` points: each stretch keeps its first, lowest, highest and last one.

    The first value of a stretch that is not finite stays too, as a gap.
    """
    if len(points) <= most:
        return list(points)
    length = math.ceil(len(points) / (most // 5))
    kept: list[Point] = []
    for start in range(0, len(points), length):
        kept += _landmarks(points[start : start + length])
    return kept


def _landmarks(stretch: Sequence[Point]) -> list[Point]:
    finite = [index for index, (_, value) in enumerate(stretch) if math.isfinite(value)]
    gap = next((index for index, (_, value) in enumerate(stretch) if not math.isfinite(value)), None)
    kept = {0, len(stretch) - 1} | ({gap} if gap is not None else set())
    if finite:
        kept |= {min(finite, key=lambda index: stretch[index][1]), max(finite, key=lambda index: stretch[index][1])}
    return [stretch[index] for index in sorted(kept)]
