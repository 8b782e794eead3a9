"""The layers of a model, the shapes of their outputs, and the choice of one."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor, nn
from torchmetrics import Metric

from cuelight.errors import LayerError, UnknownLayerError
from cuelight.explain.tracing import last_with_maps, traced

AUTO = "auto"


@dataclass(frozen=True)
class Layer:
    """A module of a model."""

    index: int  # among the modules without metrics
    name: str  # empty for the model itself
    type: str
    shape: tuple[int, ...] | None  # of the output for one image; None if the layer is not run or puts out no tensor
    is_auto: bool = False


def list_layers(model: nn.Module, example: Tensor | None) -> list[Layer]:
    """List every module of a model with its output shape for the first image of a batch ``(N, C, H, W)``.

    Nothing is run if ``example`` is ``None``. The state of the model is preserved.
    """
    auto, shapes = None, {}
    if example is not None:
        with traced(model, example) as outputs:
            auto = last_with_maps(outputs, example)
            shapes = {name: tuple(output.shape) for name, output in outputs.items() if isinstance(output, Tensor)}
    return [
        Layer(index, name, type(module).__name__, shapes.get(name), name == auto)
        for index, (name, module) in enumerate(modules_without_metrics(model))
    ]


def modules_without_metrics(model: nn.Module) -> list[tuple[str, nn.Module]]:
    """Return ``named_modules()`` without metrics and losses, so that no index depends on what is measured."""
    others = {part for module in model.modules() if _is_no_layer(module) for part in module.modules()}
    return [(name, module) for name, module in model.named_modules() if module not in others]


def _is_no_layer(module: nn.Module) -> bool:
    """Whether a module is a metric or a loss, or a list or mapping of them."""
    if isinstance(module, (nn.ModuleDict, nn.ModuleList)):
        return all(map(_is_no_layer, module.children()))
    return isinstance(module, Metric) or type(module).__name__.endswith("Loss")


def find_layer(model: nn.Module, target: int | str, example: Tensor | None) -> str:
    """Return the name of a layer.

    ``auto`` is the last layer with a map of more than one position on which the output of the model depends; layers
    inside an attention are excluded. In a ViT that reads the class token, this is the normalization before the last
    attention, because later patches have no effect. In a model whose output is a map, such as a segmentation, it is
    the last such layer of the encoder (Vinogradova et al. 2020, "Towards Interpretable Semantic Segmentation via
    Gradient-weighted Class Activation Mapping"), or, if no module is called encoder or backbone, the last one with
    the fewest positions.

    Args:
        model: The model; its state is preserved.
        target: The name of a layer; its index in :func:`modules_without_metrics`, also negative; or ``auto``.
        example: Input batch ``(N, C, H, W)``, of which the first image is run for ``auto``.

    Raises:
        LayerError: If there is no such layer, or none with a map.
    """
    names = [name for name, _ in modules_without_metrics(model)]
    if isinstance(target, int):
        if not -len(names) <= target < len(names):
            raise UnknownLayerError(
                f"{type(model).__name__} has no layer {target}. Expected an index from {-len(names)} to "
                f"{len(names) - 1}, a name, or {AUTO}; `cuelight layers` lists them."
            )
        return names[target]
    if target == AUTO and AUTO not in names:
        return _auto_layer(model, example)
    if target not in names and target not in dict(model.named_modules(remove_duplicate=False)):
        raise UnknownLayerError(
            f'{type(model).__name__} has no layer "{target}".{_near(target, names)} Expected a name, an index '
            f"from {-len(names)} to {len(names) - 1}, or {AUTO}; `cuelight layers` lists them."
        )
    return target


def _auto_layer(model: nn.Module, example: Tensor | None) -> str:
    if example is None:
        raise LayerError(
            f"{AUTO} needs an example input to run the model, but there is none. Set the layer by name or index."
        )
    with traced(model, example) as outputs:
        name = last_with_maps(outputs, example)
    if name is None:
        raise LayerError(
            f"no layer of {type(model).__name__} outputs a spatial map of more than one position. Set the layer by "
            "name; `cuelight layers` lists them."
        )
    return name


def _near(word: str, names: Sequence[str]) -> str:
    ends = [name for name in names if name.endswith(f".{word}")]
    near = (ends or difflib.get_close_matches(word, [AUTO, *names], n=3, cutoff=0.6))[:3]
    return f" Did you mean {' or '.join(f'{name!r}' for name in near)}?".replace("'", '"') if near else ""
