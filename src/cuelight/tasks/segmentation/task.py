"""The segmentation task, as the other packages use it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from cuelight.export.model_metadata import ModelMetadata
from cuelight.tasks.segmentation.archive import PARSER, head_problems
from cuelight.tasks.segmentation.decode import Segmentation, decode_segmentation, resize_to_image
from cuelight.tasks.segmentation.examples import draw_segmentation_examples, draw_true_masks
from cuelight.tasks.segmentation.picture import draw_segmentation, mask_image

if TYPE_CHECKING:
    from torch import nn

    from cuelight.tasks.segmentation.explain import SegmentationScores


class SegmentationTask:
    """Semantic segmentation: one class for each pixel."""

    name = "segmentation"
    targets = "a mask for each image"
    parser = PARSER
    most_examples = 6

    draw = staticmethod(draw_segmentation)
    draw_targets = staticmethod(draw_true_masks)
    draw_examples = staticmethod(draw_segmentation_examples)
    head_problems = staticmethod(head_problems)
    mask_image = staticmethod(mask_image)
    resize_to_image = staticmethod(resize_to_image)

    def decode(self, outputs: Mapping[str, NDArray[Any]], metadata: ModelMetadata) -> list[Segmentation]:
        """Return one result for each image from the outputs of a model."""
        return decode_segmentation(outputs, metadata.class_names)

    def class_scores(self, model: nn.Module, class_names: Sequence[str] | None) -> SegmentationScores:
        """Return the class scores; this imports torch, unlike the rest."""
        from cuelight.tasks.segmentation.explain import class_scores

        return class_scores(model, class_names)
