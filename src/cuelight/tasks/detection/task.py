"""The detection task, as the other packages use it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from cuelight.errors import CuelightError
from cuelight.export.model_metadata import ModelMetadata
from cuelight.tasks.detection.archive import PARSER, head_problems
from cuelight.tasks.detection.decode import Detections, decode_detection, resize_to_image
from cuelight.tasks.detection.examples import draw_detection_examples, draw_true_boxes, rank_errors
from cuelight.tasks.detection.picture import draw_detections

if TYPE_CHECKING:
    from torch import nn

    from cuelight.tasks.detection.explain import DetectionScores


class DetectionTask:
    """Object detection: a box and a class for each object."""

    name = "detection"
    targets = "boxes for each image"
    parser = PARSER
    most_examples = 6

    draw = staticmethod(draw_detections)
    draw_targets = staticmethod(draw_true_boxes)
    draw_examples = staticmethod(draw_detection_examples)
    rank_example = staticmethod(rank_errors)
    head_problems = staticmethod(head_problems)
    resize_to_image = staticmethod(resize_to_image)

    def decode(self, outputs: Mapping[str, NDArray[Any]], metadata: ModelMetadata) -> list[Detections]:
        """Return one result for each image from the outputs of a model; its metadata has strides and thresholds."""
        if metadata.decoding is None:
            raise CuelightError(
                "The model has no strides and thresholds in its metadata, so its boxes cannot be decoded. Give the "
                "module a method `decoding` (cuelight.export.protocols.BringsDecoding) and export it again."
            )
        return decode_detection(outputs, metadata.class_names, metadata.decoding)

    def class_scores(self, model: nn.Module, class_names: Sequence[str] | None) -> DetectionScores:
        """Return the class scores; this imports torch, unlike the rest."""
        from cuelight.tasks.detection.explain import DetectionScores

        return DetectionScores()
