"""Protocols for the class scores of a model's outputs."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

from torch import Tensor


class TaskScores(Protocol):
    """Class scores of the outputs of a task.

    In all methods ``outputs`` are those of the model for N images, ``classes`` is the class to explain of each image,
    int64 ``(N,)``, and ``labels`` are those of the batch.
    """

    def count(self, outputs: Any) -> int:
        """Return the number of classes."""

    def score(self, outputs: Any, classes: Tensor) -> Tensor:
        """Return the score to differentiate, ``(N,)``; each may only depend on the outputs of its own image."""

    def probability(self, outputs: Any, classes: Tensor) -> Tensor:
        """Return the probability of the class, ``(N,)``, 0 to 1."""

    def predicted(self, outputs: Any) -> Tensor:
        """Return the predicted class, int64 ``(N,)``."""

    def labelled(self, labels: Any, outputs: Any) -> Tensor:
        """Return the class in the labels, int64 ``(N,)``."""


@runtime_checkable
class ScoresClasses(Protocol):
    """A module that defines the class scores of its outputs, for example by the best boxes of a detector."""

    def class_scores(self) -> TaskScores:
        """Return scores for all outputs of ``forward``, or for the one that the user chose."""


@runtime_checkable
class CountsPixels(Protocol):
    """Scores of pixels that can be limited to some of them, for example without the bars of a letterbox."""

    def counting(self, pixels: Tensor) -> TaskScores:
        """Return scores of the pixels of a mask, bool ``(N, H, W)``."""

    def counting_labelled(self, labels: Any) -> TaskScores:
        """Return scores of the labelled pixels; of all pixels if these are no pixel labels."""


@runtime_checkable
class CaptionsMaps(Protocol):
    """Scores with their own captions; without it a caption has the label and the predicted class."""

    def captions(self, scores: Tensor, classes: Tensor, labels: Tensor | None) -> list[tuple[str, str]]:
        """Return the score as text and a note, which may be empty, for each image.

        ``scores`` are those of ``probability``; ``labels`` are those of the batch, ``None`` if there are none.
        """
