"""The result of a training or a test."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cuelight.train_end.outcomes import Outcome
from cuelight.weights.best import BestCheckpoint


@dataclass(frozen=True)
class Result:
    """The result of a training or a test.

    Args:
        directory: The run directory, if there is one.
        checkpoint: The checkpoint that was measured; ``None`` if there was nothing to measure.
        metrics: The metrics by name; empty if there was nothing to measure.
        best: The best checkpoint of the run, if one was kept.
        outcomes: The outcome of each step after the training.
        data: Path and number of the images that ``test`` has measured, as far as they are known.
    """

    directory: Path | None
    checkpoint: Path | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    best: BestCheckpoint | None = None
    outcomes: tuple[Outcome, ...] = ()
    data: Mapping[str, Any] = field(default_factory=dict)

    @property
    def failed(self) -> bool:
        """Whether a step after the training failed."""
        return any(outcome.status == "failed" for outcome in self.outcomes)
