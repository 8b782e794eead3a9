"""The tasks by name. A new task needs an entry here, and its model one in ``registry/builtins.py``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from numpy.typing import NDArray
from PIL import Image

from cuelight.export.model_metadata import ModelMetadata
from cuelight.tasks.classification.task import ClassificationTask
from cuelight.tasks.detection.task import DetectionTask
from cuelight.tasks.keypoints.task import KeypointTask
from cuelight.tasks.multilabel.task import MultiLabelTask
from cuelight.tasks.segmentation.task import SegmentationTask

if TYPE_CHECKING:
    from torch import nn

    from cuelight.explain.protocols import TaskScores


class Result(Protocol):
    """Prediction for one image."""

    def row(self) -> dict[str, Any]:
        """Return all values as a table row, with the same columns for every image."""
        ...

    def summary(self) -> dict[str, Any]:
        """Return the most important values as a row of a table that is displayed."""
        ...

    def details(self) -> dict[str, Any]:
        """Return all values in plain types, for JSON."""
        ...


class Task(Protocol):
    """Interface of all tasks. Optional methods have protocols in the packages that use them."""

    @property
    def name(self) -> str:
        """Name in checkpoints, files and parameters."""
        ...

    @property
    def targets(self) -> str:
        """Description of the targets in messages, such as ``a mask for each image``."""
        ...

    @property
    def parser(self) -> str:
        """The depthai parser that decodes its outputs on a device."""
        ...

    def decode(self, outputs: Mapping[str, NDArray[Any]], metadata: ModelMetadata) -> Sequence[Result]:
        """Return one result for each image from the outputs of a model."""
        ...

    def draw(self, image: Image.Image, result: Any) -> Image.Image:
        """Draw a result with its image."""
        ...

    def head_problems(self, head: Mapping[str, Any], shapes: Mapping[str, Sequence[int | None]]) -> Iterable[str]:
        """Yield errors of the head of an NN Archive, given the shapes of the outputs that it names."""
        ...

    def class_scores(self, model: nn.Module, class_names: Sequence[str] | None) -> TaskScores:
        """Return the class scores of a model."""
        ...


DEFAULT_TASK = ClassificationTask.name

TASKS: dict[str, Task] = {
    task.name: task
    for task in (ClassificationTask(), SegmentationTask(), DetectionTask(), KeypointTask(), MultiLabelTask())
}


def head_problems(head: Mapping[str, Any], shapes: Mapping[str, Sequence[int | None]]) -> list[str]:
    """List errors of a head of an NN Archive, given the shapes of the outputs that it names."""
    task = next((task for task in TASKS.values() if task.parser == head["parser"]), None)
    return list(task.head_problems(head, shapes)) if task else []
