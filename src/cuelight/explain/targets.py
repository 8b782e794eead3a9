"""What is explained of a model: asked for once, tried before it counts, then used for every batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from cuelight.explain.classes import ClassChoice, find_class
from cuelight.explain.explanation import HeatMaps, heat_maps
from cuelight.explain.layers import find_layer
from cuelight.explain.methods import Method
from cuelight.explain.scores import TaskScores, scores_of

_BACKGROUND = "background"


@dataclass(frozen=True)
class Target:
    """What is explained of a model.

    Args:
        layer: The name of the layer.
        class_idx: The class: its index, ``predicted`` or ``label``.
        method: How activations and gradients become a map.
        task: What the model does.
        output: Which output holds the scores of the classes, if there are several.
        output_names: Names of the outputs.
        background: The class of a segmentation that is none, if there is one.
    """

    layer: str
    class_idx: ClassChoice
    method: Method = "gradcam"
    task: str = "classification"
    output: int | str | None = None
    output_names: Sequence[str] | None = None
    background: int | None = None

    def heat_maps(
        self, model: nn.Module, images: Tensor, labels: Any = None, counted: Tensor | None = None
    ) -> HeatMaps:
        """Compute the heat maps of a batch; see :func:`cuelight.explain.heat_maps`."""
        return heat_maps(
            model,
            images,
            self.layer,
            class_idx=self.class_idx,
            labels=labels,
            method=self.method,
            task=self.task,
            output=self.output,
            output_names=self.output_names,
            background=self.background,
            counted=counted,
        )

    def scores(self, model: nn.Module, counted: Tensor | None = None) -> TaskScores:
        """Tell how the outputs of the model tell classes; see :func:`cuelight.explain.scores.scores_of`."""
        return scores_of(model, self.task, self.background, counted)


def find_target(
    model: nn.Module,
    images: Tensor,
    layer: int | str,
    class_idx: int | str,
    *,
    class_names: Sequence[str] | None = None,
    method: Method = "gradcam",
    task: str = "classification",
    output: int | str | None = None,
    output_names: Sequence[str] | None = None,
) -> Target:
    """Find what is explained, and try it.

    Args:
        model: The model.
        images: One image as the model takes it, ``(1, C, H, W)``, on its device.
        layer: An index into ``named_modules()``, a name, or ``auto``.
        class_idx: The class: its index, its name, ``predicted`` or ``label``.
        class_names: The name of each class.
        method: How activations and gradients become a map.
        task: What the model does.
        output: Which output holds the scores of the classes, if there are several.
        output_names: Names of the outputs.

    Returns:
        What is explained.

    Raises:
        LayerError: If there is no such layer, or it puts out no map.
        ExplainError: If there is no such class, output, method or task.
    """
    background = 0 if class_names and class_names[0].lower() == _BACKGROUND else None
    found = find_layer(model, layer, images)
    tried = Target(found, "predicted", method, task, output, output_names, background)
    outputs = tried.heat_maps(model, images).outputs
    chosen = find_class(class_idx, class_names, tried.scores(model).count(outputs))
    return Target(found, chosen, method, task, output, output_names, background)
