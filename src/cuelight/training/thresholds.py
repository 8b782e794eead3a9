"""Thresholds of scores that are chosen on the validation data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cuelight.errors import CheckpointError

THRESHOLDS = (np.arange(1, 100) / 100).astype(np.float32)
"""Thresholds from which the best one is chosen."""

WITHOUT_HITS = 0.5
"""The threshold of a model that finds nothing."""


def best_threshold(f1: NDArray[np.float64]) -> float:
    """Return the threshold with the best F1 ``(99,)``; 0.5 if nothing is right.

    If several are equal, the middle one is taken: F1 falls beyond both ends.
    """
    places = np.flatnonzero(f1 == f1.max())
    return round(float(THRESHOLDS[places[len(places) // 2]]), 2) if f1.any() else WITHOUT_HITS


def saved_thresholds(checkpoint: Mapping[str, Any], name: str, own: Sequence[float]) -> list[float]:
    """Return the thresholds that a checkpoint has by a name, a number or a list; ``own`` if there are none.

    Raises:
        CheckpointError: They are not as many numbers from 0 to 1.
    """
    saved = checkpoint.get(name, own)
    values = list(saved) if isinstance(saved, (list, tuple)) else [saved]
    if len(values) != len(own) or not all(isinstance(value, float) and 0 <= value <= 1 for value in values):
        raise CheckpointError(
            f"{name} in the checkpoint: expected {len(own)} numbers from 0 to 1, got {str(saved)[:80]}. It is damaged, "
            "or of a model of other classes. Use another checkpoint."
        )
    return values
