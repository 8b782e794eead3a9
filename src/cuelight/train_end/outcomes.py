"""The outcome of each step after a training: ``outcomes.json`` in the run directory."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, TypeAdapter, ValidationError

from cuelight.errors import CuelightError
from cuelight.utils.environment import with_references, without_references
from cuelight.utils.files import read_json, relative_to_run, sha256_of, write_json

OUTCOMES_FILE = "outcomes.json"

Status = Literal["ok", "failed", "skipped"]


class _Sent(BaseModel):
    """What an upload records of each tracker."""

    name: str
    where: str = ""
    sha256: str
    step: int = 0


class _Details(BaseModel):
    """The details of a step that other modules read."""

    metrics: dict[str, float | None] = {}
    uploads: dict[str, _Sent] = {}
    differences: list[dict[str, Any]] = []
    traceback: list[str] = []


@dataclass(frozen=True)
class Outcome:
    """The outcome of one step.

    Args:
        step: The name of the step, such as ``ExportOnTrainEnd``.
        status: ``skipped`` if there was nothing to do.
        reason: Why it failed or was skipped.
        seconds: The duration.
        checkpoint: The checkpoint that it used, relative to the run directory.
        weights_fingerprint: The fingerprint of the weights of the checkpoint.
        files: The SHA-256 of each file that it wrote, by path relative to the run directory.
        details: More about the result, such as the metrics, as JSON values.
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
        """Whether the step measured the weights."""
        return self.status == "ok" and "metrics" in self.details

    @property
    def is_shipment(self) -> bool:
        """Whether the step exported the weights, which then must be the measured ones.

        An upload does not count: the best checkpoint by validation loss was measured by a validation.
        """
        return self.status == "ok" and not {"metrics", "uploads"} & self.details.keys()

    def is_intact(self, directory: Path) -> bool:
        """Return whether the checkpoint exists and all files of the step have their recorded SHA-256.

        Args:
            directory: The run directory.
        """
        return (directory / self.checkpoint).is_file() and all(
            (directory / path).is_file() and sha256_of(directory / path) == recorded
            for path, recorded in self.files.items()
        )


class TrainEndError(CuelightError):
    """Steps after a training failed. The training itself is complete and saved.

    Args:
        outcomes: The outcomes of all steps.
        directory: The run directory.
    """

    def __init__(self, outcomes: Sequence[Outcome], directory: Path) -> None:
        self.outcomes = tuple(outcomes)
        self.directory = directory
        failed = [outcome for outcome in outcomes if outcome.status == "failed"]
        reasons = dict.fromkeys(outcome.reason for outcome in failed)
        lines = [f"  {', '.join(one.step for one in failed if one.reason == why)}: {why}" for why in reasons]
        steps = "step" if len(failed) == 1 else "steps"
        super().__init__(
            "\n".join(
                [
                    f"The training is complete and saved, but {len(failed)} post-training {steps} failed:",
                    *lines,
                    f"Details are in {directory / OUTCOMES_FILE}.",
                ]
            )
        )

    def __reduce__(self) -> tuple[type[TrainEndError], tuple[Sequence[Outcome], Path]]:
        return type(self), (self.outcomes, self.directory)


def read_outcomes(directory: Path) -> dict[str, Outcome]:
    """Read the outcomes of the steps of a run.

    Args:
        directory: The run directory.

    Returns:
        The outcomes by the name of the step, in the order in which the steps ran; empty if none ran.

    Raises:
        CuelightError: If the file is damaged.
    """
    path, remedy = directory / OUTCOMES_FILE, "Delete it, then run `cuelight finish` on the run directory."
    content = read_json(path, remedy)
    try:
        steps = TypeAdapter(list[Outcome]).validate_python(content.get("steps") if content is not None else [])
        for outcome in steps:
            _Details.model_validate(outcome.details)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, ("steps", *first["loc"])))
        raise CuelightError(f"{path}: this file is damaged: {place}: {first['msg']}. {remedy}") from error
    return {one.step: replace(one, checkpoint=without_references(one.checkpoint)) for one in steps}


def measured_fingerprints(outcomes: Iterable[Outcome]) -> list[str]:
    """Return the sorted fingerprints of the weights that were measured."""
    return sorted({outcome.weights_fingerprint for outcome in outcomes if outcome.is_measurement})


def record_outcome(directory: Path, outcome: Outcome) -> None:
    """Write an outcome to ``outcomes.json``, in place of an earlier one of the same step."""
    outcomes = read_outcomes(directory) | {outcome.step: outcome}
    entries = [asdict(entry) | {"checkpoint": with_references(entry.checkpoint)} for entry in outcomes.values()]
    write_json(directory / OUTCOMES_FILE, {"steps": entries})


def hashes(files: Iterable[Path], directory: Path) -> dict[str, str]:
    """Return the SHA-256 of each file by its path relative to the run directory."""
    return {relative_to_run(file, directory): sha256_of(file) for file in files}
