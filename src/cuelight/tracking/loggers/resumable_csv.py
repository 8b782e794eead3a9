"""A CSV file of metrics that is continued after a resume."""

from __future__ import annotations

import csv
import io
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lightning.fabric.loggers.logger import rank_zero_experiment
from lightning.pytorch.loggers import CSVLogger
from lightning.pytorch.loggers.csv_logs import ExperimentWriter

from cuelight.tracking.loggers.error_tolerant import no_experiment_on_error
from cuelight.tracking.loggers.measured_names import is_measurement
from cuelight.utils.files import write_text

METRICS_FILE = "metrics.csv"
_FILE_BEFORE = ".metrics.csv.before"
_PLACE = {"step", "epoch"}


class ResumableCSVLogger(CSVLogger):
    """Lightning's ``CSVLogger``, except that it keeps the rows of an existing ``metrics.csv`` instead of deleting it.

    Rows of the training from the step ``resumed_from`` on are dropped, because they are logged again; those of tests
    stay. No row is dropped if it is left out.
    """

    def __init__(self, directory: Path, resumed_from: int | None = None) -> None:
        self._directory = directory
        self._resumed_from = resumed_from
        super().__init__(save_dir=directory, name="", version="")

    @property
    @rank_zero_experiment
    def experiment(self) -> Any:
        """The writer of the file, created at the first use."""
        with no_experiment_on_error(self._directory):
            self._open()
        return self._experiment

    def _open(self) -> None:
        if self._experiment is None:
            path, before = self._directory / METRICS_FILE, self._directory / _FILE_BEFORE
            if path.is_file() and not before.is_file():
                path.replace(before)  # Lightning would delete it; this one survives a kill
            rows = [row for row in _read_rows(before) if self._keeps(row)]
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", message=".*exists and is not empty.*")
                writer = self._experiment = _Writer(log_dir=self.log_dir)
            if rows:
                writer.metrics_keys = list(rows[0])
                _write_rows(path, rows, writer.metrics_keys)
            before.unlink(missing_ok=True)

    def _keeps(self, row: dict[str, str]) -> bool:
        if self._resumed_from is None or int(row["step"]) < self._resumed_from:
            return True
        names = [name for name, value in row.items() if value and name not in _PLACE]
        return bool(names) and all(map(is_measurement, names))


class _Writer(ExperimentWriter):
    """Lightning's writer, except that the file is complete at every moment while it gets a new column."""

    def save(self) -> None:
        """Write what was logged."""
        path = Path(self.metrics_file_path)
        new = set().union(*self.metrics) - {*self.metrics_keys}
        if new and path.is_file():
            self.metrics_keys = sorted([*self.metrics_keys, *new])
            _write_rows(path, _read_rows(path), self.metrics_keys)
        super().save()


def _read_rows(path: Path) -> list[dict[str, str]]:
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8", errors="replace") as file:
        text = file.read()
    limit = csv.field_size_limit(len(text) + 1)
    try:
        rows = list(csv.DictReader(io.StringIO(text, newline="")))
    finally:
        csv.field_size_limit(limit)
    if not text.endswith(("\r", "\n")):
        rows = rows[:-1]  # a killed run may have written a part of its last line
    return [row for row in rows if (row.get("step") or "").isdigit()]


def _write_rows(path: Path, rows: Sequence[dict[str, str]], names: Sequence[str]) -> None:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, fieldnames=names, extrasaction="ignore")
    writer.writeheader()
    writer.writerows(rows)
    write_text(path, text.getvalue())
