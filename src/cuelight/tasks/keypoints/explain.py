"""Class scores of a model of keypoints for explanations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from cuelight.tasks.detection.explain import DetectionScores


class KeypointScores(DetectionScores):
    """Class scores of boxes with points: those of the boxes, which are the first half of the outputs."""

    def _logits(self, outputs: Any) -> Tensor:
        """Return the logits of all cells, ``(N, classes, A)``."""
        return super()._logits(outputs[: len(outputs) // 2] if isinstance(outputs, Sequence) else outputs)
