"""Heat maps of a batch: one forward pass, and a backward pass that ends at the layer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from lightning_utilities.core.apply_func import apply_to_collection
from torch import Tensor, nn

from cuelight.errors import ExplainError, LayerError, did_you_mean
from cuelight.explain.classes import ClassChoice, choose_classes
from cuelight.explain.grid import Size, as_maps, mapped_tensor, tensors_in, with_replaced
from cuelight.explain.layers import find_layer
from cuelight.explain.methods import METHODS, Method
from cuelight.explain.outputs import choose_output
from cuelight.explain.preserve_state import preserve_state, run
from cuelight.explain.protocols import ScoresClasses, TaskScores


@dataclass(frozen=True)
class HeatMaps:
    """Heat maps of N images, on the CPU, and the explained output, detached.

    Maps are float32 at the resolution of the layer, at least 0, not normalized; all 0 if nothing supports the class.
    Scores are the probability of the class, 0 to 1; in a segmentation the share of the pixels where it is most likely.
    """

    maps: Tensor  # (N, h, w)
    classes: Tensor  # int64 (N,)
    scores: Tensor  # float32 (N,)
    outputs: Any


def heat_maps(
    model: nn.Module,
    images: Tensor,
    layer: str,
    scores: TaskScores,
    *,
    class_idx: ClassChoice = 0,
    labels: Any | None = None,
    method: Method = "gradcam",
    output: str | int | None = None,
    output_names: Sequence[str] | None = None,
) -> HeatMaps:
    """Compute heat maps of a class.

    The gradient is computed with respect to the activation of the layer only: not for the layers below it, nor for
    parameters. The model may be in training, compiled, on any device, under autocast or in inference mode. Its state
    is preserved: no hook, no ``.grad``, no changed buffer and no drawn random number remain.

    Args:
        model: Any module from images to logits, such as a LightningModule.
        images: Input batch of the model, ``(N, C, H, W)``, on its device.
        layer: Name of a layer, or ``auto``, which runs the model on one more image to find it; see ``find_layer``. If
            the layer runs several times in ``forward``, the last time counts.
        scores: How the outputs score classes; see ``cuelight.tasks.class_scores``.
        class_idx: The class to explain: an index; ``predicted``; or ``label``, the true class of each image.
        labels: Labels of the images as ``scores`` takes them; needed for ``label``.
        method: One of the methods in ``cuelight.explain.methods``.
        output: Name or index of the output with the logits, if ``forward`` returns several.
        output_names: Names of the outputs, if ``forward`` returns a tuple or list.

    Returns:
        The maps, with the class and the score of each.

    Raises:
        LayerError: If there is no such layer, it is not run, its output is no map, or the output does not depend on it.
        ExplainError: If there is no such class, output or method.

    Examples:
        >>> network = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.Flatten(), nn.Linear(8 * 16, 5))
        >>> from cuelight.tasks.classification.explain import ClassificationScores
        >>> heat_maps(network, torch.randn(2, 3, 4, 4), "0", ClassificationScores(), class_idx="predicted").maps.shape
        torch.Size([2, 4, 4])
    """
    if method not in METHODS:
        raise ExplainError(f'unknown method "{method}".{did_you_mean(method, METHODS)} Expected {", ".join(METHODS)}.')
    height, width = images.shape[-2:]
    cut = _Cut(len(images), (height, width))
    handle = model.get_submodule(find_layer(model, layer, images)).register_forward_hook(cut)
    try:
        with preserve_state(model, images.device):
            outputs = run(model, images)
            if output is not None or not isinstance(model, ScoresClasses):
                outputs = choose_output(outputs, output, output_names)
            activation = cut.found(layer)
            # Autograd cannot use labels created in inference mode, but copies of them.
            classes = choose_classes(class_idx, scores, outputs, labels, images).clone()
            gradient = activation  # not used by EigenCAM
            if method != "eigencam":
                gradient = _gradient(scores.score(outputs, classes), activation, layer)
            with torch.autocast(activation.device.type, enabled=False):
                maps = METHODS[method](cut.as_maps(activation.detach()), cut.as_maps(gradient)).float()
            sure = scores.probability(outputs, classes).detach()
    finally:
        handle.remove()
    return HeatMaps(maps.cpu(), classes.cpu(), sure.float().cpu(), apply_to_collection(outputs, Tensor, Tensor.detach))


@dataclass
class _Cut:
    """Forward hook that detaches the activation of a layer from the graph below it."""

    count: int
    size: Size
    activation: Tensor | None = None
    put_out: list[Any] = field(default_factory=list)

    def __call__(self, module: nn.Module, inputs: Any, output: Any) -> Any:
        tensor = mapped_tensor(output, self.count, self.size)
        if tensor is None:
            self.put_out = [type(output).__name__, *(tuple(tensor.shape) for tensor in tensors_in(output))]
            return output
        self.activation = tensor.detach().requires_grad_()
        torch.set_grad_enabled(True)  # the model may run this layer under no_grad
        # A copy, because later layers may change it in place.
        return with_replaced(output, tensor, self.activation.clone())

    def found(self, layer: str) -> Tensor:
        if self.activation is not None:
            return self.activation
        if not self.put_out:
            raise LayerError(
                f'the layer "{layer}" is not called in `forward`. `cuelight layers` shows which layers are.'
            )
        raise LayerError(
            f'the layer "{layer}" outputs {" ".join(map(str, self.put_out))} for {self.count} images. Expected a '
            "spatial map of more than one position. Choose an earlier layer; `cuelight layers` shows each output shape."
        )

    def as_maps(self, tensor: Tensor) -> Tensor:
        maps = as_maps(tensor, self.count, self.size)
        assert maps is not None  # noqa: S101 - the activation was chosen by it
        return maps.float()


def _gradient(scores: Tensor, activation: Tensor, layer: str) -> Tensor:
    gradient = None
    if scores.requires_grad:
        (gradient,) = torch.autograd.grad(scores.sum(), activation, allow_unused=True)
    if gradient is None:
        raise LayerError(
            f'the explained output does not depend on the layer "{layer}", or `forward` runs the layers after it '
            "without gradient. Choose another layer: `cuelight layers` lists them."
        )
    return gradient
