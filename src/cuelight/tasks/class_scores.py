"""The class scores of a task, by its name."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import nn

from cuelight.errors import ExplainError, did_you_mean
from cuelight.explain.protocols import ScoresClasses, TaskScores
from cuelight.tasks.classification.explain import ClassificationScores
from cuelight.tasks.detection.explain import DetectionScores
from cuelight.tasks.keypoints.explain import KeypointScores
from cuelight.tasks.lookup import CLASSIFICATION, DEFAULT_TASK, DETECTION, KEYPOINTS, MULTILABEL, SEGMENTATION
from cuelight.tasks.multilabel.explain import MultiLabelScores
from cuelight.tasks.segmentation import explain as segmentation

_SCORES: dict[str, Callable[[nn.Module, Sequence[str] | None], TaskScores]] = {
    CLASSIFICATION.name: lambda *_: ClassificationScores(),
    SEGMENTATION.name: segmentation.class_scores,
    DETECTION.name: lambda *_: DetectionScores(),
    KEYPOINTS.name: lambda *_: KeypointScores(),
    MULTILABEL.name: lambda *_: MultiLabelScores(),
}


def class_scores(task: str | None, model: nn.Module, class_names: Sequence[str] | None = None) -> TaskScores:
    """Return the class scores of a model that has a method ``class_scores``, or else those of the task.

    ``None`` is classification. Raises ``ExplainError`` if there is no such task.
    """
    if isinstance(model, ScoresClasses):
        return model.class_scores()
    if (found := _SCORES.get(task or DEFAULT_TASK)) is None:
        raise ExplainError(
            f'cannot compute class scores for the task "{task}".{did_you_mean(str(task), _SCORES)} Expected '
            f"{', '.join(_SCORES)}, or a module with a method class_scores (cuelight.explain.ScoresClasses)."
        )
    return found(model, class_names)
