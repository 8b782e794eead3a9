"""A CSV file of metrics that is continued after a resume."""

from __future__ import annotations

import csv
import io
import warnings
from pathlib import Path
from typing import Any

from lightning.fabric.loggers.logger import rank_zero_experiment
from lightning.pytorch.loggers import CSVLogger

from cuelight.utils.files import write_text

METRICS_FILE = "metrics.csv"
_FILE_BEFORE = ".metrics.csv.before"


class ResumableCSVLogger(CSVLogger):
    """Lightning's ``CSVLogger``, except that it keeps the rows of an existing ``metrics.csv`` instead of deleting it.

    Rows from the step ``resumed_from`` on are dropped, because they are logged again.
    """

    def __init__(self, directory: Path, resumed_from: int | None = None) -> None:
        self._directory = directory
        self._resumed_from = resumed_from
        super().__init__(save_dir=directory, name="", version="")

    @property
    @rank_zero_experiment
    def experiment(self) -> Any:
        """The writer of the file, created at the first use."""
        if self._experiment is None:
            path, before = self._directory / METRICS_FILE, self._directory / _FILE_BEFORE
            if path.is_file() and not before.is_file():
                path.replace(before)  # Lightning would delete it; this one survives a kill
            rows = _read_rows(before)
            if self._resumed_from is not None:
                rows = [row for row in rows if int(row["step"]) < self._resumed_from]
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", message=".*exists and is not empty.*")
                writer = super().experiment
            if rows:
                writer.metrics_keys = list(rows[0])
                _write_rows(path, rows)
            before.unlink(missing_ok=True)
        return super().experiment


def _read_rows(path: Path) -> list[dict[str, str]]:
    if not path.is_file():
        return []
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    # The last line of a killed run may be incomplete.
    return [row for row in rows if (row.get("step") or "").isdigit()]


def _write_rows(path: Path, rows: list[dict[str, str]]) -> None:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, fieldnames=list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    write_text(path, text.getvalue())
