"""What is handed in to explain a model: how its outputs score classes."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

from torch import Tensor


class TaskScores(Protocol):
    """How outputs score the classes of an image."""

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
        """Return how sure the model is of a class.

        Args:
            outputs: What the model gives for N images.
            classes: The class that is explained of each, int64 ``(N,)``.

        Returns:
            Shares from 0 to 1, ``(N,)``.
        """

    def predicted(self, outputs: Any) -> Tensor:
        """Return the predicted class.

        Args:
            outputs: What the model gives for N images.

        Returns:
            Classes ``(N,)``.
        """

    def labelled(self, labels: Any, outputs: Any) -> Tensor:
        """Return the class in the labels.

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
        """Return the scores.

        Returns:
            What takes the outputs of ``forward``: all of them, or the one that the user chose.
        """


@runtime_checkable
class CountsPixels(Protocol):
    """Scores of classes of pixels, which can leave pixels out, such as those beside the image in a letterbox."""

    def counting(self, pixels: Tensor | None) -> TaskScores:
        """Count some of the pixels only.

        Args:
            pixels: bool ``(N, H, W)``, in the order of the batch; ``None`` for all.

        Returns:
            New scores.
        """

    def counting_labelled(self, labels: Any) -> TaskScores:
        """Count the pixels that have a label only.

        Args:
            labels: The labels of N images, as the batch has them.

        Returns:
            New scores; of all pixels if these are no labels of pixels.
        """


@runtime_checkable
class CaptionsMaps(Protocol):
    """Scores that write their own captions; without it a caption names the label and the predicted class."""

    def captions(self, scores: Tensor, classes: Tensor, labels: Tensor | None) -> list[tuple[str, str]]:
        """Write what is shown beside each heat map.

        Args:
            scores: What ``probability`` gave for each image, ``(N,)``.
            classes: The class that is explained of each, int64 ``(N,)``.
            labels: The labels, of integers; ``None`` if there are none.

        Returns:
            For each image the score as text, and a note, which may be empty.
        """
