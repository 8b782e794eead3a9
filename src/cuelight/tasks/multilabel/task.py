"""The task multilabel, as the other packages use it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from cuelight.errors import CuelightError
from cuelight.export.model_metadata import ModelMetadata
from cuelight.tasks.multilabel.archive import PARSER, head_problems
from cuelight.tasks.multilabel.decode import ImageLabels, decode_multilabel
from cuelight.tasks.multilabel.examples import draw_wrong_labels, rank_mistakes
from cuelight.tasks.multilabel.picture import draw_labels

if TYPE_CHECKING:
    from torch import nn

    from cuelight.tasks.multilabel.explain import MultiLabelScores


class MultiLabelTask:
    """Multi-label classification: any number of classes for each image."""

    name = "multilabel"
    targets = "any number of classes for each image"
    parser = PARSER
    most_examples = 12

    draw = staticmethod(draw_labels)
    draw_examples = staticmethod(draw_wrong_labels)
    rank_example = staticmethod(rank_mistakes)
    head_problems = staticmethod(head_problems)

    def decode(self, outputs: Mapping[str, NDArray[Any]], metadata: ModelMetadata) -> list[ImageLabels]:
        """Return one result for each image from the outputs of a model; its metadata has the thresholds."""
        if "thresholds" not in (metadata.decoding or {}):
            raise CuelightError(
                "The model has no thresholds in its metadata, so its outputs cannot be decoded. Give the module a "
                "method `decoding` (cuelight.export.protocols.BringsDecoding) and export it again."
            )
        return decode_multilabel(outputs, metadata.class_names, metadata.decoding or {})

    def class_scores(self, model: nn.Module, class_names: Sequence[str] | None) -> MultiLabelScores:
        """Return the class scores; this imports torch, unlike the rest."""
        from cuelight.tasks.multilabel.explain import MultiLabelScores

        return MultiLabelScores()
