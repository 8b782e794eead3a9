"""What is explained of a model: asked for once, tried before it counts, then used for every batch."""

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
    """What is explained of a model.

    Args:
        layer: The name of the layer.
        class_idx: The class: its index, ``predicted`` or ``label``.
        scores: How the outputs score classes.
        method: How activations and gradients become a map.
        output: Which output holds the scores of the classes, if there are several.
        output_names: Names of the outputs.
    """

    layer: str
    class_idx: ClassChoice
    scores: TaskScores
    method: Method = "gradcam"
    output: int | str | None = None
    output_names: Sequence[str] | None = None

    def heat_maps(
        self, model: nn.Module, images: Tensor, labels: Any = None, scores: TaskScores | None = None
    ) -> HeatMaps:
        """Compute the heat maps of a batch, by scores of its own if given; see :func:`cuelight.explain.heat_maps`."""
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
    """Find what is explained, and try it.

    Args:
        model: The model.
        images: One image as the model takes it, ``(1, C, H, W)``, on its device.
        layer: An index into ``named_modules()``, a name, or ``auto``.
        class_idx: The class: its index, its name, ``predicted`` or ``label``.
        scores: How the outputs score classes.
        class_names: The name of each class.
        method: How activations and gradients become a map.
        output: Which output holds the scores of the classes, if there are several.
        output_names: Names of the outputs.

    Returns:
        What is explained.

    Raises:
        LayerError: If there is no such layer, or it puts out no map.
        ExplainError: If there is no such class, output or method.
    """
    found = find_layer(model, layer, images)
    tried = Target(found, "predicted", scores, method, output, output_names)
    count = scores.count(tried.heat_maps(model, images).outputs)
    return replace(tried, class_idx=find_class(class_idx, class_names, count))
