"""Class scores of a detector for explanations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from cuelight.errors import ExplainError
from cuelight.explain.batches import label_tensor

_BEST = 10  # cells, as many as an object is usually assigned to
_DISTANCES = 4


@dataclass(frozen=True)
class DetectionScores:
    """Class scores of the outputs of a detector: the mean logit of the class in its ten best boxes.

    Outputs are ``(N, 4 + classes, H, W)`` for each stride: four distances, then logits.
    """

    def count(self, outputs: Any) -> int:
        """Return the number of classes."""
        return self._logits(outputs).shape[1]

    def score(self, outputs: Any, classes: Tensor) -> Tensor:
        """Return the mean of the ten largest logits of the class."""
        logits = self._of_class(outputs, classes)
        return logits.topk(min(_BEST, logits.shape[1]), dim=1).values.mean(1)

    def probability(self, outputs: Any, classes: Tensor) -> Tensor:
        """Return the score of the best box of the class."""
        return self._of_class(outputs, classes).amax(1).float().sigmoid()

    def predicted(self, outputs: Any) -> Tensor:
        """Return the class of the best box."""
        return self._logits(outputs).amax(2).argmax(1)

    def labelled(self, labels: Any, outputs: Any) -> Tensor:
        """Return the most frequent class of labels ``(N, M)``, -1 for none; without any, that of the best box."""
        known = label_tensor(labels)
        logits = self._logits(outputs)
        if known.ndim != 2 or len(known) != len(logits):  # noqa: PLR2004
            raise ExplainError(
                f"{len(logits)} images have labels of the shape {tuple(known.shape)}. Expected the class of each box "
                "(N, M), -1 for none."
            )
        counts = (known[..., None].to(logits.device) == torch.arange(logits.shape[1], device=logits.device)).sum(1)
        return torch.where(counts.any(1), counts.argmax(1), self.predicted(outputs))

    def captions(self, scores: Tensor, classes: Tensor, labels: Tensor | None) -> list[tuple[str, str]]:
        """Return the score of the best box, and the number of objects of the class in the labels."""
        texts = [f"best box {score:.2f}" for score in scores.tolist()]
        if labels is None or labels.ndim != 2:  # noqa: PLR2004
            return [(text, "") for text in texts]
        counts = (labels.cpu() == classes[:, None].cpu()).sum(1).tolist()
        return [(text, f"label: {count} of this class") for text, count in zip(texts, counts, strict=True)]

    def _of_class(self, outputs: Any, classes: Tensor) -> Tensor:
        logits = self._logits(outputs)
        return logits[torch.arange(len(logits), device=logits.device), classes.to(logits.device)]

    def _logits(self, outputs: Any) -> Tensor:
        """Return the logits of all cells, ``(N, classes, A)``."""
        maps = [outputs] if isinstance(outputs, Tensor) else outputs
        if not isinstance(maps, Sequence) or not all(
            isinstance(values, Tensor) and values.ndim == 4 and values.shape[1] > _DISTANCES  # noqa: PLR2004
            for values in maps
        ):
            raise ExplainError(
                "detection needs a map (N, 4 + classes, H, W) for each stride: four distances, then logits. Set task "
                "to that of the model, or give the module a method class_scores (cuelight.explain.ScoresClasses)."
            )
        return torch.cat([values[:, _DISTANCES:].flatten(2) for values in maps], 2)
