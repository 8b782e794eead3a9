"""The class scores of a task, by its name."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from cuelight.errors import ExplainError, did_you_mean
from cuelight.explain.protocols import ScoresClasses, TaskScores
from cuelight.tasks.lookup import DEFAULT_TASK, TASKS


def class_scores(task: str | None, model: nn.Module, class_names: Sequence[str] | None = None) -> TaskScores:
    """Return the class scores of a model that has a method ``class_scores``, or else those of the task.

    ``None`` is classification. Raises ``ExplainError`` if there is no such task.
    """
    if isinstance(model, ScoresClasses):
        return model.class_scores()
    if (found := TASKS.get(task or DEFAULT_TASK)) is None:
        raise ExplainError(
            f'cannot compute class scores for the task "{task}".{did_you_mean(str(task), TASKS)} Expected '
            f"{', '.join(TASKS)}, or a module with a method class_scores (cuelight.explain.ScoresClasses)."
        )
    return found.class_scores(model, class_names)
