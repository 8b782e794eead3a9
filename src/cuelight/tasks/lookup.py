"""The tasks by name. A new task is an entry here, and its model a name in ``registry/builtins.py``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from numpy.typing import NDArray
from PIL import Image

from cuelight.tasks.classification.task import ClassificationTask
from cuelight.tasks.segmentation.task import SegmentationTask

if TYPE_CHECKING:
    from torch import nn

    from cuelight.explain.protocols import TaskScores


class Result(Protocol):
    """What a model sees in one image."""

    def row(self) -> dict[str, Any]:
        """Return all of it as the row of a table; the same columns for every image."""
        ...

    def summary(self) -> dict[str, Any]:
        """Return the most important of it as the row of a table that people read."""
        ...

    def details(self) -> dict[str, Any]:
        """Return all of it in plain types, for JSON."""
        ...


class Task(Protocol):
    """What every task offers. What only some offer is a protocol in the room that asks for it."""

    @property
    def name(self) -> str:
        """Its name in checkpoints, files and parameters."""
        ...

    @property
    def targets(self) -> str:
        """What its data has for each image, in words."""
        ...

    @property
    def parser(self) -> str:
        """The parser of depthai that decodes its outputs on a device."""
        ...

    def decode(self, outputs: Mapping[str, NDArray[Any]], class_names: Sequence[str] | None) -> Sequence[Result]:
        """Turn the outputs of a model into one result for each image."""
        ...

    def draw(self, image: Image.Image, result: Any) -> Image.Image:
        """Draw a result beside or on its image."""
        ...

    def head_problems(self, head: Mapping[str, Any], shapes: Mapping[str, Sequence[int | None]]) -> Iterable[str]:
        """Compare the head of an NN Archive with the shapes of the outputs that it names."""
        ...

    def class_scores(self, model: nn.Module, class_names: Sequence[str] | None) -> TaskScores:
        """Return how the outputs of a model score classes."""
        ...


DEFAULT_TASK = ClassificationTask.name

TASKS: dict[str, Task] = {task.name: task for task in (ClassificationTask(), SegmentationTask())}


def head_problems(head: Mapping[str, Any], shapes: Mapping[str, Sequence[int | None]]) -> list[str]:
    """Compare a head of an NN Archive with the outputs that it decodes."""
    task = next((task for task in TASKS.values() if task.parser == head["parser"]), None)
    return list(task.head_problems(head, shapes)) if task else []
