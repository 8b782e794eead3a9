"""Class scores of a multi-label classification for explanations."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from cuelight.data.targets.multi_labels import PRESENT, UNKNOWN
from cuelight.errors import ExplainError
from cuelight.explain.batches import label_tensor
from cuelight.images.drawing import percent
from cuelight.tasks.classification.explain import ClassificationScores


class MultiLabelScores(ClassificationScores):
    """Class scores of logits ``(N, C)``: the logits themselves, each of a class of its own."""

    def probability(self, outputs: Tensor, classes: Tensor) -> Tensor:
        """Return the sigmoid of the logit of the class."""
        return self.score(outputs, classes).float().sigmoid()

    def labelled(self, labels: Any, outputs: Tensor) -> Tensor:
        """Return the class with the largest logit of those in labels ``(N, C)``; without any, of all."""
        logits, known = self._logits(outputs), label_tensor(labels)
        if known.shape != logits.shape:
            raise ExplainError(
                f"the labels have the shape {tuple(known.shape)}. Expected {tuple(logits.shape)}: 1 for each class in "
                "the image."
            )
        present = known.to(logits.device) == PRESENT
        return torch.where(present | ~present.any(1, keepdim=True), logits, -torch.inf).argmax(1)

    def captions(self, scores: Tensor, classes: Tensor, labels: Tensor | None) -> list[tuple[str, str]]:
        """Return the probability, and whether the labels have the class."""
        texts = [percent(score) for score in scores.tolist()]
        if labels is None or labels.ndim != 2:  # noqa: PLR2004
            return [(text, "") for text in texts]
        names = {PRESENT: "label: present", UNKNOWN: "label: unknown"}
        known = labels.gather(1, classes[:, None].cpu())[:, 0].tolist()
        return [(text, names.get(float(label), "label: absent")) for text, label in zip(texts, known, strict=True)]

    def _logits(self, outputs: Tensor) -> Tensor:
        if outputs.ndim != 2:  # noqa: PLR2004
            raise ExplainError(
                f"multilabel needs logits (N, C), but the output has the shape {tuple(outputs.shape)}. Set task to "
                "that of the model, or set output to the one with the logits."
            )
        return outputs
