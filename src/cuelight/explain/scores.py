"""What is differentiated: the score of a class, by task."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from cuelight.errors import ExplainError, did_you_mean


class TaskScores(Protocol):
    """How the outputs of a task tell which classes are in an image."""

    def count(self, outputs: Any) -> int:
        """Count the classes.

        Args:
            outputs: What the model gives for N images.

        Returns:
            Their number.
        """

    def score(self, outputs: Any, classes: Tensor) -> Tensor:
        """Compute what is differentiated.

        Args:
            outputs: What the model gives for N images.
            classes: The class that is explained of each, int64 ``(N,)``.

        Returns:
            One score for each image, ``(N,)``, which depends on the outputs of that image alone.
        """

    def probability(self, outputs: Any, classes: Tensor) -> Tensor:
        """Tell how sure the model is of a class.

        Args:
            outputs: What the model gives for N images.
            classes: The class that is explained of each, int64 ``(N,)``.

        Returns:
            Shares from 0 to 1, ``(N,)``.
        """

    def predicted(self, outputs: Any) -> Tensor:
        """Tell the class that the model sees.

        Args:
            outputs: What the model gives for N images.

        Returns:
            Classes ``(N,)``.
        """

    def labelled(self, labels: Any, outputs: Any) -> Tensor:
        """Tell the class that is in the image.

        Args:
            labels: The labels of N images, as the batch has them.
            outputs: What the model gives for them.

        Returns:
            Classes int64 ``(N,)``.
        """


@runtime_checkable
class ScoresClasses(Protocol):
    """A module that tells itself how its outputs score classes, such as by the best boxes of a detector."""

    def class_scores(self) -> TaskScores:
        """Tell how.

        Returns:
            What takes the outputs of ``forward``: all of them, or the one that the user chose.
        """


@dataclass(frozen=True)
class ClassificationScores:
    """The score of a class is its logit. Outputs are logits ``(N, C)``.

    One logit alone, ``(N, 1)`` or ``(N,)``, is that of class 1 of two, and its opposite that of class 0.
    """

    def count(self, outputs: Tensor) -> int:
        """Count the classes."""
        return self._logits(outputs).shape[1]

    def score(self, outputs: Tensor, classes: Tensor) -> Tensor:
        """Take the logit of the class."""
        return self._logits(outputs).gather(1, classes[:, None])[:, 0]

    def probability(self, outputs: Tensor, classes: Tensor) -> Tensor:
        """Take the class out of the softmax; with one logit, out of the sigmoid."""
        logits = self._logits(outputs).float()
        logits = logits / 2 if _is_single(outputs) else logits
        return logits.softmax(1).gather(1, classes[:, None])[:, 0]

    def predicted(self, outputs: Tensor) -> Tensor:
        """Take the class with the largest logit."""
        return self._logits(outputs).argmax(1)

    def labelled(self, labels: Any, outputs: Tensor) -> Tensor:
        """Take the labels ``(N,)``, or of labels ``(N, C)``, such as mixed or one-hot ones, the largest."""
        known = _as_tensor(labels)
        if known.ndim > 1 and known.shape[1] == self.count(outputs):
            known = known.argmax(1)
        if known.numel() != len(outputs):
            raise ExplainError(
                f"{len(outputs)} images have labels of the shape {tuple(known.shape)}. Expected (N,), or (N, C) with a "
                "share for each class."
            )
        return known.flatten().long()

    def _logits(self, outputs: Tensor) -> Tensor:
        logits = outputs.unsqueeze(1) if outputs.ndim == 1 else outputs
        if logits.ndim != 2:  # noqa: PLR2004
            raise ExplainError(
                f"a classification is explained by logits (N, C), and the output is {tuple(outputs.shape)}. Set task "
                "to segmentation if it has a class for each pixel, or output to the one with the logits."
            )
        return torch.cat([-logits, logits], 1) if _is_single(outputs) else logits


@dataclass(frozen=True)
class SegmentationScores:
    """The score of a class is the sum of its logits over the pixels where it is the likeliest class.

    Vinogradova et al. 2020, "Towards Interpretable Semantic Segmentation via Gradient-weighted Class Activation
    Mapping". Where it is the likeliest of no pixel, the sum is over all. Outputs are logits ``(N, C, H, W)``; with
    one channel, that of class 1 of two.

    Args:
        background: The class that is neither seen nor labelled where there is any other; ``None`` if there is none.
        counted: Which pixels of the images count, bool ``(N, H, W)``, such as those beside the black of a letterbox;
            ``None`` for all.
    """

    background: int | None = None
    counted: Tensor | None = None

    def count(self, outputs: Tensor) -> int:
        """Count the classes."""
        return self._logits(outputs).shape[1]

    def score(self, outputs: Tensor, classes: Tensor) -> Tensor:
        """Add up the logits of the class."""
        logits = self._logits(outputs)
        counted = self._counted(logits)
        likeliest = (logits.detach().argmax(1) == classes[:, None, None]) & counted
        nowhere = ~likeliest.flatten(1).any(1)
        added = likeliest | (nowhere[:, None, None] & counted)
        return (logits[torch.arange(len(logits), device=logits.device), classes] * added).sum((1, 2))

    def probability(self, outputs: Tensor, classes: Tensor) -> Tensor:
        """Tell the share of the pixels where the class is the likeliest."""
        logits = self._logits(outputs)
        counted = self._counted(logits)
        likeliest = (logits.argmax(1) == classes[:, None, None]) & counted
        return likeliest.sum((1, 2)) / counted.sum((1, 2)).clamp(min=1)

    def predicted(self, outputs: Tensor) -> Tensor:
        """Take the class with the most pixels, other than the background if there is one."""
        logits = self._logits(outputs)
        count = logits.shape[1]
        return self._most_frequent(torch.where(self._counted(logits), logits.argmax(1), count), count)

    def labelled(self, labels: Any, outputs: Tensor) -> Tensor:
        """Take the class with the most pixels of the mask; values that are no class are ignored.

        Masks are ``(N, H, W)``, ``(N, 1, H, W)``, or ``(N, C, H, W)`` with a share for each class.
        """
        masks, count = _as_tensor(labels), self.count(outputs)
        if masks.ndim == 4 and masks.shape[1] == count:  # noqa: PLR2004
            masks = masks.argmax(1)
        if masks.ndim < 3 or len(masks) != len(outputs):  # noqa: PLR2004
            raise ExplainError(
                f"{len(outputs)} images have labels of the shape {tuple(masks.shape)}. Expected masks (N, H, W), or "
                "(N, C, H, W) with a share for each class."
            )
        return self._most_frequent(masks, count)

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
                f"a segmentation is explained by logits (N, C, H, W), and the output is {tuple(outputs.shape)}. Set "
                "task to classification if it has a class for each image, or output to the one with the logits."
            )
        return torch.cat([-outputs, outputs], 1) if _is_single(outputs) else outputs


def scores_of(model: nn.Module, task: str, background: int | None = None, counted: Tensor | None = None) -> TaskScores:
    """Choose how classes are scored.

    Args:
        model: The model, which may tell by :class:`ScoresClasses`.
        task: ``classification``, ``segmentation``, or what the model tells.
        background: The class of a segmentation that is none, if there is one.
        counted: Which pixels of a segmentation count, bool ``(N, H, W)``; ``None`` for all.

    Returns:
        The scores.

    Raises:
        ExplainError: If the task is none of those, and the model does not tell.
    """
    if isinstance(model, ScoresClasses):
        return model.class_scores()
    if task == "classification":
        return ClassificationScores()
    if task == "segmentation":
        return SegmentationScores(background, counted)
    raise ExplainError(
        f'no class scores are known for the task "{task}".{did_you_mean(task, ("classification", "segmentation"))} '
        "Expected classification, segmentation, or a module with a method class_scores, which tells how its outputs "
        "score classes (cuelight.explain.ScoresClasses)."
    )


def _as_tensor(labels: Any) -> Tensor:
    try:
        return torch.as_tensor(labels)
    except (TypeError, ValueError, RuntimeError) as error:
        raise ExplainError(f"labels are numbers, and these are {type(labels).__name__}: {error}") from error


def _is_single(outputs: Tensor) -> bool:
    return outputs.ndim == 1 or outputs.shape[1] == 1
