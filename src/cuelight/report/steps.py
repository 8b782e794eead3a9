"""Outcomes of the steps after the training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cuelight.report.numbers import duration, number
from cuelight.train_end.outcomes import Outcome, measured_fingerprints, read_outcomes
from cuelight.utils.redaction import redacted_text


@dataclass(frozen=True)
class Steps:
    """All steps after the training, in order, and the fingerprint of the measured weights."""

    steps: Sequence[Mapping[str, Any]] = ()
    agreement: bool | None = None  # whether the shipped weights are the measured ones; None with nothing to compare
    weights: str = ""

    @property
    def failed(self) -> list[str]:
        """The names of the failed steps."""
        return [step["name"] for step in self.steps if step["status"] == "failed"]


def read_steps(directory: Path) -> Steps:
    """Read ``outcomes.json``; no steps if there is no such file."""
    outcomes = list(read_outcomes(directory).values())
    measured = measured_fingerprints(outcomes)
    shipped = {outcome.weights_fingerprint for outcome in outcomes if outcome.is_shipment}
    agreement = shipped <= set(measured) if measured and shipped else None
    return Steps([_step(outcome) for outcome in outcomes], agreement, ", ".join(map(_short, measured)))


def _step(outcome: Outcome) -> dict[str, Any]:
    return {
        "name": str(outcome.step),
        "status": str(outcome.status),
        "reason": redacted_text(str(outcome.reason)) or _worth_knowing(outcome),
        "seconds": duration(float(outcome.seconds)),
        "checkpoint": str(outcome.checkpoint),
        "weights": _short(outcome.weights_fingerprint),
        "files": [(str(path), _short(recorded)) for path, recorded in outcome.files.items()],
        "traceback": redacted_text("".join(outcome.details.get("traceback", ()))),
    }


def _worth_knowing(outcome: Outcome) -> str:
    differences = [float(entry["absolute"]) for entry in outcome.details.get("differences", ())]
    if differences:
        return f"differs from PyTorch by at most {number(max(differences))}"
    return "; ".join(
        f"sent to {tracker}: {sent['name']}" for tracker, sent in outcome.details.get("uploads", {}).items()
    )


def _short(digits: str) -> str:
    return str(digits)[:12]
