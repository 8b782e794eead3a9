"""The layer and the class to explain, found and tried once, then used for every batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor, nn

from cuelight.explain.classes import ClassChoice, find_class
from cuelight.explain.explanation import HeatMaps, heat_maps
from cuelight.explain.layers import find_layer
from cuelight.explain.methods import Method
from cuelight.explain.protocols import TaskScores


@dataclass(frozen=True)
class Target:
    """The arguments of :func:`cuelight.explain.heat_maps` that stay the same for all batches."""

    layer: str
    class_idx: ClassChoice
    scores: TaskScores
    method: Method = "gradcam"
    output: int | str | None = None
    output_names: Sequence[str] | None = None

    def heat_maps(
        self, model: nn.Module, images: Tensor, labels: Any = None, scores: TaskScores | None = None
    ) -> HeatMaps:
        """Compute the heat maps of a batch; ``scores`` replaces the class scores for this batch only."""
        return heat_maps(
            model,
            images,
            self.layer,
            scores or self.scores,
            class_idx=self.class_idx,
            labels=labels,
            method=self.method,
            output=self.output,
            output_names=self.output_names,
        )


def find_target(
    model: nn.Module,
    images: Tensor,
    layer: int | str,
    class_idx: int | str,
    scores: TaskScores,
    *,
    class_names: Sequence[str] | None = None,
    method: Method = "gradcam",
    output: int | str | None = None,
    output_names: Sequence[str] | None = None,
) -> Target:
    """Find layer and class, and try them on one image ``(1, C, H, W)`` on the device of the model."""
    tried = Target(find_layer(model, layer, images), "predicted", scores, method, output, output_names)
    count = scores.count(tried.heat_maps(model, images).outputs)
    return replace(tried, class_idx=find_class(class_idx, class_names, count))
