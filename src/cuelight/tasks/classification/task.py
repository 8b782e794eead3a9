"""The classification task, as the other packages use it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from cuelight.export.model_metadata import ModelMetadata
from cuelight.tasks.classification.archive import PARSER, head_problems
from cuelight.tasks.classification.decode import Classification, decode_classification
from cuelight.tasks.classification.examples import draw_labels, draw_mistakes, rank_mistake
from cuelight.tasks.classification.picture import draw_classification

if TYPE_CHECKING:
    from torch import nn

    from cuelight.tasks.classification.explain import ClassificationScores


class ClassificationTask:
    """Image classification: one class for each image."""

    name = "classification"
    targets = "a class for each image"
    parser = PARSER
    most_examples = 12

    draw = staticmethod(draw_classification)
    draw_targets = staticmethod(draw_labels)
    draw_examples = staticmethod(draw_mistakes)
    rank_example = staticmethod(rank_mistake)
    head_problems = staticmethod(head_problems)

    def decode(self, outputs: Mapping[str, NDArray[Any]], metadata: ModelMetadata) -> list[Classification]:
        """Return one result for each image from the outputs of a model."""
        return decode_classification(outputs, metadata.class_names)

    def class_scores(self, model: nn.Module, class_names: Sequence[str] | None) -> ClassificationScores:
        """Return the class scores; this imports torch, unlike the rest."""
        from cuelight.tasks.classification.explain import ClassificationScores

        return ClassificationScores()
