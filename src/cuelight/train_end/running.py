"""Run one step and record its outcome; an error in it does not stop the others."""

from __future__ import annotations

import logging
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from lightning.pytorch.utilities.seed import isolate_rng

from cuelight.errors import CuelightError
from cuelight.train_end.finished_training import StepSkipped
from cuelight.train_end.outcomes import Outcome, hashes, record_outcome
from cuelight.utils.files import relative_to_run
from cuelight.utils.redaction import reason_of, redacted_text

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class StepResult:
    """The result of a successful step: the checkpoint it used, the files it wrote, and details as JSON values."""

    checkpoint: Path
    fingerprint: str
    files: Sequence[Path] = ()
    details: Mapping[str, Any] = field(default_factory=dict)


def run_step(name: str, directory: Path, work: Callable[[], StepResult]) -> Outcome:
    """Run a step, write its outcome to ``outcomes.json`` and return it. Errors become a failed outcome."""
    began = time.monotonic()
    try:
        with isolate_rng():
            outcome = _succeeded(name, directory, work())
    except StepSkipped as reason:
        outcome = Outcome(name, "skipped", reason=redacted_text(str(reason)))
    except Exception as error:  # noqa: BLE001 - any failure is recorded
        outcome = _failed(name, error)
    outcome = _timed(outcome, began)
    try:
        record_outcome(directory, outcome)
    except (OSError, CuelightError, TypeError, ValueError) as error:
        told = f"{outcome.reason} The outcome cannot be recorded: {reason_of(error)}".strip()
        outcome = replace(outcome, status="failed", reason=told)
    _log(outcome)
    return outcome


def record_result(name: str, directory: Path, result: StepResult, began: float) -> None:
    """Record the result of a command as the outcome of a step; ``began`` is a time of ``time.monotonic()``."""
    record_outcome(directory, _timed(_succeeded(name, directory, result), began))


def _succeeded(name: str, directory: Path, result: StepResult) -> Outcome:
    return Outcome(
        step=name,
        status="ok",
        checkpoint=relative_to_run(result.checkpoint, directory),
        weights_fingerprint=result.fingerprint,
        files=hashes(result.files, directory),
        details=result.details,
    )


def _failed(name: str, error: Exception) -> Outcome:
    if isinstance(error, CuelightError):
        return Outcome(name, "failed", reason=redacted_text(str(error)))
    lines = [redacted_text(part) for part in traceback.format_exception(error)]
    return Outcome(name, "failed", reason=reason_of(error), details={"traceback": lines})


def _timed(outcome: Outcome, began: float) -> Outcome:
    return replace(outcome, seconds=round(time.monotonic() - began, 3))


def _log(outcome: Outcome) -> None:
    if outcome.status == "failed":
        logger.error("%s failed: %s", outcome.step, outcome.reason)
    elif outcome.status == "skipped":
        logger.warning("%s was skipped: %s", outcome.step, outcome.reason)
    else:
        logger.info("%s: %s (%.1f s)", outcome.step, ", ".join(outcome.files) or "done", outcome.seconds)
