"""What became of each step after a training: ``outcomes.json`` in the run directory."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from cuelight.errors import CuelightError
from cuelight.utils.files import relative_to_run, sha256_of, write_json

OUTCOMES_FILE = "outcomes.json"

Status = Literal["ok", "failed", "skipped"]


@dataclass(frozen=True)
class Outcome:
    """What became of one step.

    Args:
        step: The name of the step, such as ``ExportOnTrainEnd``.
        status: Whether it worked, failed, or had nothing to do.
        reason: Why it failed or was skipped.
        seconds: How long it took.
        checkpoint: The file whose weights it used, seen from the run directory.
        weights_fingerprint: The fingerprint of these weights.
        files: The SHA-256 of each file that it wrote, by its path seen from the run directory.
        details: What else is worth to know, such as the metrics.
    """

    step: str
    status: Status
    reason: str = ""
    seconds: float = 0.0
    checkpoint: str = ""
    weights_fingerprint: str = ""
    files: Mapping[str, str] = field(default_factory=dict)
    details: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_measurement(self) -> bool:
        """Whether this step has measured weights."""
        return self.status == "ok" and "metrics" in self.details

    @property
    def is_shipment(self) -> bool:
        """Whether this step has put weights into a form that is used elsewhere, and so have to be the measured ones.

        What is uploaded is the best checkpoint by validation loss, which a validation has measured.
        """
        return self.status == "ok" and not {"metrics", "uploads"} & self.details.keys()

    def is_intact(self, directory: Path) -> bool:
        """Return whether the checkpoint is still there, and all files of this step are what was written.

        Args:
            directory: The run directory.

        Returns:
            Whether each exists, and the files have their SHA-256.
        """
        return (directory / self.checkpoint).is_file() and all(
            (directory / path).is_file() and sha256_of(directory / path) == recorded
            for path, recorded in self.files.items()
        )


def read_outcomes(directory: Path) -> dict[str, Outcome]:
    """Read what became of the steps of a run.

    Args:
        directory: The run directory.

    Returns:
        The outcome of each step that was tried, by its name, in the order in which they ran.

    Raises:
        CuelightError: If the file is damaged.
    """
    path = directory / OUTCOMES_FILE
    if not path.is_file():
        return {}
    try:
        return {entry["step"]: Outcome(**entry) for entry in json.loads(path.read_text())["steps"]}
    except (ValueError, KeyError, TypeError) as error:
        raise CuelightError(
            f"{path}: this file is damaged: {error}. Delete it, then run `cuelight finish` on the run directory."
        ) from error


def measured_weights(outcomes: Iterable[Outcome]) -> list[str]:
    """Return which weights were measured."""
    return sorted({outcome.weights_fingerprint for outcome in outcomes if outcome.is_measurement})


def record_outcome(directory: Path, outcome: Outcome) -> None:
    """Put the outcome of a step into ``outcomes.json``, in place of an earlier one of the same step.

    Args:
        directory: The run directory.
        outcome: What became of the step.
    """
    outcomes = read_outcomes(directory) | {outcome.step: outcome}
    write_json(directory / OUTCOMES_FILE, {"steps": [asdict(entry) for entry in outcomes.values()]})


def hashes(files: Iterable[Path], directory: Path) -> dict[str, str]:
    """Compute what :attr:`Outcome.files` holds."""
    return {relative_to_run(file, directory): sha256_of(file) for file in files}
