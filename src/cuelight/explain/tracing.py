"""The outputs of all modules of a model, and the choice of the layer for ``auto``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from cuelight.explain.grid import as_maps, fits, tensors_in
from cuelight.explain.preserve_state import preserve_state, run

_ENCODERS = ("encoder", "backbone")
_ATTENTION = ("attn", "attention", "qkv")


@contextmanager
def traced(model: nn.Module, example: Tensor) -> Iterator[dict[str, Any]]:
    """Run the first image of a batch through a model, whose state is preserved.

    The last output of each module is yielded by its name, in the order in which the modules ended.
    """
    outputs: dict[str, Any] = {}

    def note(name: str, *passed: Any) -> Any:
        outputs.pop(name, None)
        outputs[name] = _recorded(passed[-1])
        return outputs[name]

    handles = [module.register_forward_hook(partial(note, name)) for name, module in model.named_modules()]
    try:
        with preserve_state(model, example.device):
            run(model, example[:1])
            yield outputs
    finally:
        for handle in handles:
            handle.remove()
        outputs.clear()


def last_with_maps(outputs: dict[str, Any], example: Tensor) -> str | None:
    """Return the name of the layer for ``auto`` from the outputs of :func:`traced`; ``None`` if none is a map."""
    size = (int(example.shape[-2]), int(example.shape[-1]))
    whole = outputs.get("")
    found: dict[str, Tensor] = {}
    for name, output in outputs.items():
        maps = as_maps(output, 1, size) if name and isinstance(output, Tensor) else None
        if maps is not None and not any(word in name.lower() for word in _ATTENTION):
            found[name] = maps
    # Networks for wide text have maps with another aspect ratio than the image; in other networks that is no map.
    candidates = {name: maps for name, maps in found.items() if fits(maps.shape[2:], size)} or found
    if any(as_maps(tensor, 1, size) is not None for tensor in tensors_in(whole)):
        candidates = _of_encoder(candidates)
    with_output = {name: outputs[name] for name in candidates}
    return next(_that_count(with_output, tensors_in(whole), size), None) or next(reversed(candidates), None)


def _recorded(output: Any) -> Any:
    """Start to record gradients at the first module and not at the images, which may be integers."""
    if isinstance(output, Tensor) and output.is_floating_point() and torch.is_grad_enabled():
        # A copy, because later layers may change it in place, which a leaf does not allow.
        return output if output.requires_grad else output.requires_grad_().clone()
    return output


def _of_encoder(candidates: dict[str, Tensor]) -> dict[str, Tensor]:
    for word in _ENCODERS:
        if inside := {name: maps for name, maps in candidates.items() if word in name.split(".")}:
            return inside
    fewest = min((maps[0, 0].numel() for maps in candidates.values()), default=0)
    return {name: maps for name, maps in candidates.items() if maps[0, 0].numel() == fewest}


def _that_count(candidates: dict[str, Tensor], outputs: Sequence[Tensor], size: tuple[int, int]) -> Iterator[str]:
    """Yield the layers on whose map the outputs depend, the last one first.

    A gradient of NaN at the outputs reaches everything that they depend on and nothing else. It also passes weights
    of zero, such as those of a new classifier.
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
