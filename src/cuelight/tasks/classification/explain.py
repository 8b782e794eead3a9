"""Class scores of a classification for explanations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from cuelight.errors import ExplainError
from cuelight.explain.batches import label_tensor
from cuelight.explain.outputs import is_single_logit


@dataclass(frozen=True)
class ClassificationScores:
    """Class scores of logits ``(N, C)``: the logits themselves.

    A single logit, ``(N, 1)`` or ``(N,)``, is that of class 1 of two; its negative is that of class 0.
    """

    def count(self, outputs: Tensor) -> int:
        """Return the number of classes."""
        return self._logits(outputs).shape[1]

    def score(self, outputs: Tensor, classes: Tensor) -> Tensor:
        """Return the logit of the class."""
        return self._logits(outputs).gather(1, classes[:, None])[:, 0]

    def probability(self, outputs: Tensor, classes: Tensor) -> Tensor:
        """Return the softmax of the class; with a single logit, the sigmoid."""
        logits = self._logits(outputs).float()
        logits = logits / 2 if is_single_logit(outputs) else logits
        return logits.softmax(1).gather(1, classes[:, None])[:, 0]

    def predicted(self, outputs: Tensor) -> Tensor:
        """Return the class with the largest logit."""
        return self._logits(outputs).argmax(1)

    def labelled(self, labels: Any, outputs: Tensor) -> Tensor:
        """Return labels ``(N,)``, or the largest of labels ``(N, C)``, such as mixed or one-hot ones."""
        known = label_tensor(labels)
        if known.ndim > 1 and known.shape[1] == self.count(outputs):
            known = known.argmax(1)
        if known.numel() != len(outputs):
            raise ExplainError(
                f"{len(outputs)} images have labels of the shape {tuple(known.shape)}. Expected (N,), or soft "
                "labels (N, C)."
            )
        return known.flatten().long()

    def _logits(self, outputs: Tensor) -> Tensor:
        logits = outputs.unsqueeze(1) if outputs.ndim == 1 else outputs
        if logits.ndim != 2:  # noqa: PLR2004
            raise ExplainError(
                f"classification needs logits (N, C), but the output has the shape {tuple(outputs.shape)}. Set task to "
                "segmentation if it has a class for each pixel, or set output to the one with the logits."
            )
        return torch.cat([-logits, logits], 1) if is_single_logit(outputs) else logits
