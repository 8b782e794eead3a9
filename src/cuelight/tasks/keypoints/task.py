"""The task keypoints, as the other packages use it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from cuelight.errors import CuelightError
from cuelight.export.model_metadata import ModelMetadata
from cuelight.tasks.detection.decode import resize_to_image
from cuelight.tasks.detection.examples import rank_errors
from cuelight.tasks.keypoints.archive import PARSER, head_problems
from cuelight.tasks.keypoints.decode import KeypointDetections, decode_keypoints
from cuelight.tasks.keypoints.examples import draw_keypoint_examples, draw_true_points
from cuelight.tasks.keypoints.picture import draw_keypoints

if TYPE_CHECKING:
    from torch import nn

    from cuelight.tasks.keypoints.explain import KeypointScores


class KeypointTask:
    """Keypoints: a box, a class and named points for each object."""

    name = "keypoints"
    targets = "boxes with points for each image"
    parser = PARSER
    most_examples = 6

    draw = staticmethod(draw_keypoints)
    draw_targets = staticmethod(draw_true_points)
    draw_examples = staticmethod(draw_keypoint_examples)
    rank_example = staticmethod(rank_errors)
    head_problems = staticmethod(head_problems)
    resize_to_image = staticmethod(resize_to_image)

    def decode(self, outputs: Mapping[str, NDArray[Any]], metadata: ModelMetadata) -> list[KeypointDetections]:
        """Return one result for each image from the outputs of a model; its metadata has strides and thresholds."""
        if metadata.decoding is None or "keypoint_label_names" not in metadata.decoding:
            raise CuelightError(
                "The model has no strides, thresholds and names of points in its metadata, so its outputs cannot be "
                "decoded. Give the module a method `decoding` (cuelight.export.protocols.BringsDecoding) and export it "
                "again."
            )
        return decode_keypoints(outputs, metadata.class_names, metadata.decoding)

    def class_scores(self, model: nn.Module, class_names: Sequence[str] | None) -> KeypointScores:
        """Return the class scores; this imports torch, unlike the rest."""
        from cuelight.tasks.keypoints.explain import KeypointScores

        return KeypointScores()
