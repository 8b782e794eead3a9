"""Class scores of a segmentation for explanations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from cuelight.errors import ExplainError
from cuelight.explain.batches import label_tensor
from cuelight.explain.outputs import is_single_logit
from cuelight.images.drawing import percent
from cuelight.images.preprocessing import IGNORE_INDEX
from cuelight.tasks.segmentation.class_colors import is_background


@dataclass(frozen=True)
class SegmentationScores:
    """Class scores of logits ``(N, C, H, W)``: the sum of the logits of a class where it is the likeliest class.

    Vinogradova et al. 2020, "Towards Interpretable Semantic Segmentation via Gradient-weighted Class Activation
    Mapping". If it is the likeliest class of no pixel, all are summed. A single channel is class 1 of two.

    Args:
        background: The class that is only predicted, or the label, if there is no other class in the image; ``None``
            if there is no such class.
        ignored: Values of masks that are no label.
        counted: The pixels that are counted, bool ``(N, H, W)``, such as those outside the bars of a letterbox;
            ``None`` for all.
    """

    background: int | None = None
    ignored: frozenset[int] = frozenset({IGNORE_INDEX})
    counted: Tensor | None = None

    def count(self, outputs: Tensor) -> int:
        """Return the number of classes."""
        return self._logits(outputs).shape[1]

    def score(self, outputs: Tensor, classes: Tensor) -> Tensor:
        """Return the sum of the logits of the class."""
        logits = self._logits(outputs)
        counted = self._counted(logits)
        likeliest = (logits.detach().argmax(1) == classes[:, None, None]) & counted
        nowhere = ~likeliest.flatten(1).any(1)
        added = likeliest | (nowhere[:, None, None] & counted)
        return (logits[torch.arange(len(logits), device=logits.device), classes] * added).sum((1, 2))

    def probability(self, outputs: Tensor, classes: Tensor) -> Tensor:
        """Return the share of the pixels where the class is the likeliest."""
        logits = self._logits(outputs)
        counted = self._counted(logits)
        likeliest = (logits.argmax(1) == classes[:, None, None]) & counted
        return likeliest.sum((1, 2)) / counted.sum((1, 2)).clamp(min=1)

    def predicted(self, outputs: Tensor) -> Tensor:
        """Return the class with the most pixels, other than the background if possible."""
        logits = self._logits(outputs)
        count = logits.shape[1]
        return self._most_frequent(torch.where(self._counted(logits), logits.argmax(1), count), count)

    def labelled(self, labels: Any, outputs: Tensor) -> Tensor:
        """Return the class with the most pixels in the mask; values that are no class are ignored.

        Masks are ``(N, H, W)``, ``(N, 1, H, W)``, or ``(N, C, H, W)`` with a share for each class.
        """
        masks, count = label_tensor(labels), self.count(outputs)
        if masks.ndim == 4 and masks.shape[1] == count:  # noqa: PLR2004
            masks = masks.argmax(1)
        if masks.ndim < 3 or len(masks) != len(outputs):  # noqa: PLR2004
            raise ExplainError(
                f"{len(outputs)} images have labels of the shape {tuple(masks.shape)}. Expected masks (N, H, W), or "
                "soft masks (N, C, H, W)."
            )
        return self._most_frequent(masks, count)

    def counting(self, pixels: Tensor) -> SegmentationScores:
        """Return scores of these pixels only."""
        return replace(self, counted=pixels)

    def counting_labelled(self, labels: Any) -> SegmentationScores:
        """Return scores of the labelled pixels of masks ``(N, H, W)`` or ``(N, 1, H, W)``."""
        if not isinstance(labels, Tensor) or labels.is_floating_point():
            return self
        masks = _without_channel(labels)
        if masks.ndim != 3:  # noqa: PLR2004
            return self
        # int64, because bool and the unsigned types cannot be compared with all values.
        return self.counting(~torch.isin(masks.long(), torch.tensor(list(self.ignored), device=masks.device)))

    def captions(self, scores: Tensor, classes: Tensor, labels: Tensor | None) -> list[tuple[str, str]]:
        """Return the share of the pixels of the class, and that in the label."""
        texts = [f"{percent(score)} of the pixels" for score in scores.tolist()]
        masks = _without_channel(labels) if labels is not None else None
        if masks is None or masks.ndim != 3:  # noqa: PLR2004
            return [(text, "") for text in texts]
        counts = torch.ones_like(masks, dtype=torch.bool) if self.counted is None else self.counted.cpu()
        labelled = (masks == classes[:, None, None]) & counts
        shares = (labelled.sum((1, 2)) / counts.sum((1, 2)).clamp(min=1)).tolist()
        return [(text, f"label: {percent(share)} of the pixels") for text, share in zip(texts, shares, strict=True)]

    def _most_frequent(self, masks: Tensor, count: int) -> Tensor:
        pixels = masks.flatten(1).long()
        pixels = torch.where((pixels >= 0) & (pixels < count), pixels, count)
        counts = torch.stack([image.bincount(minlength=count + 1)[:count] for image in pixels])
        if self.background is not None:
            counts[:, self.background] = 0
            return torch.where(counts.any(1), counts.argmax(1), self.background)
        return counts.argmax(1)

    def _counted(self, logits: Tensor) -> Tensor:
        size = logits.shape[2:]
        if self.counted is None:
            return torch.ones(len(logits), *size, dtype=torch.bool, device=logits.device)
        counted = self.counted.to(logits.device, torch.uint8)
        return nn.functional.interpolate(counted[:, None], size).bool()[:, 0]

    def _logits(self, outputs: Tensor) -> Tensor:
        if outputs.ndim != 4:  # noqa: PLR2004
            raise ExplainError(
                f"segmentation needs logits (N, C, H, W), but the output has the shape {tuple(outputs.shape)}. Set "
                "task to classification if it has a class for each image, or set output to the one with the logits."
            )
        return torch.cat([-outputs, outputs], 1) if is_single_logit(outputs) else outputs


def class_scores(model: nn.Module, class_names: Sequence[str] | None) -> SegmentationScores:
    """Return the scores of a model, with its ``ignore_index`` and ``num_classes`` if it has them.

    The first class may be the background, by its name.
    """
    background = 0 if class_names and is_background(class_names[0]) else None
    own, classes = getattr(model, "ignore_index", None), getattr(model, "num_classes", None)
    ignored = {own} if isinstance(own, int) else set()
    if not (isinstance(classes, int) and classes > IGNORE_INDEX):  # otherwise this is a class
        ignored.add(IGNORE_INDEX)
    return SegmentationScores(background, frozenset(ignored))


def _without_channel(masks: Tensor) -> Tensor:
    return masks[:, 0] if masks.ndim == 4 and masks.shape[1] == 1 else masks  # noqa: PLR2004
