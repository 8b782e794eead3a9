"""What every module of a model puts out, and which of these outputs is shown best."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from cuelight.explain.grid import as_maps, has_shape_of_image, tensors_in
from cuelight.explain.preserve_state import preserve_state, run

_ENCODERS = ("encoder", "backbone")
_ATTENTION = ("attn", "attention", "qkv")


@contextmanager
def traced(model: nn.Module, example: Tensor) -> Iterator[dict[str, Any]]:
    """Run one image through a model, and see what each module puts out.

    Args:
        model: The model; it is as before afterwards.
        example: A batch as the model takes it, ``(N, C, H, W)``.

    Yields:
        By the name of each module that was run, its output of the last time, in the order in which they ended.
    """
    outputs: dict[str, Any] = {}

    def note(name: str) -> Any:
        def hook(*passed: Any) -> Any:
            outputs.pop(name, None)
            outputs[name] = _recorded(passed[-1])
            return outputs[name]

        return hook

    handles = [module.register_forward_hook(note(name)) for name, module in model.named_modules()]
    try:
        with preserve_state(model, example.device):
            run(model, example[:1])
            yield outputs
    finally:
        for handle in handles:
            handle.remove()
        outputs.clear()


def last_with_maps(outputs: dict[str, Any], example: Tensor) -> str | None:
    """Choose the layer that ``auto`` means.

    Args:
        outputs: What :func:`traced` gave.
        example: What it was given.

    Returns:
        Its name; ``None`` if no layer puts out a map.
    """
    size = (int(example.shape[-2]), int(example.shape[-1]))
    whole = outputs.get("")
    found = {
        name: output
        for name, output in outputs.items()
        if name
        and isinstance(output, Tensor)
        and as_maps(output, 1, size) is not None
        and not any(word in part for part in name.lower().split(".") for word in _ATTENTION)
    }
    # Networks for wide text have maps of another shape than the image; in others that is something else than a map.
    candidates = {name: output for name, output in found.items() if has_shape_of_image(output, size)} or found
    if any(as_maps(tensor, 1, size) is not None for tensor in tensors_in(whole)):
        candidates = _of_encoder(candidates, size)
    return next(_that_count(candidates, tensors_in(whole), size), None) or next(reversed(candidates), None)


def _recorded(output: Any) -> Any:
    """Record the gradient from the first module on: images may be integers, which have none."""
    if isinstance(output, Tensor) and output.is_floating_point() and torch.is_grad_enabled():
        # A copy, since what follows may change it in place, and that is no leaf's to bear.
        return output if output.requires_grad else output.requires_grad_().clone()
    return output


def _of_encoder(candidates: dict[str, Tensor], size: tuple[int, int]) -> dict[str, Tensor]:
    for word in _ENCODERS:
        if inside := {name: output for name, output in candidates.items() if word in name.split(".")}:
            return inside
    positions = {name: _positions(output, size) for name, output in candidates.items()}
    return {name: output for name, output in candidates.items() if positions[name] == min(positions.values())}


def _positions(output: Tensor, size: tuple[int, int]) -> int:
    maps = as_maps(output, 1, size)
    return 0 if maps is None else maps[0, 0].numel()


def _that_count(candidates: dict[str, Tensor], outputs: Sequence[Tensor], size: tuple[int, int]) -> Iterator[str]:
    """Of the last layer first, those on whose map the outputs depend.

    NaN as the gradient of the outputs reaches everything that they depend on, also through weights that are zero as
    those of a new classifier may be, and nothing else.
    """
    ends = [output for output in outputs if output.requires_grad]
    names = [name for name in reversed(candidates) if candidates[name].requires_grad]
    if not ends or not names:
        return
    unknown = [torch.full_like(output, torch.nan) for output in ends]
    inputs = [candidates[name] for name in names]
    with torch.autograd.set_detect_anomaly(mode=False):
        gradients = torch.autograd.grad(ends, inputs, unknown, allow_unused=True)
    for name, gradient in zip(names, gradients, strict=True):
        maps = None if gradient is None else as_maps(gradient, 1, size)
        if maps is not None and maps.isnan().any():
            yield name
