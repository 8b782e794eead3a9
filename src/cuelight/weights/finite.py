"""Find weights that are NaN or infinite."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from cuelight.utils.words import first_of

_RUNNING_STATISTICS = ("running_mean", "running_var")


def not_finite_tensors(module: nn.Module) -> list[str]:
    """Return the names of the tensors with NaN or infinity.

    Infinity is allowed in buffers other than running statistics, such as masks.
    """
    flags: dict[str, Tensor] = {}
    for name, parameter in module.named_parameters():
        flags[name] = ~_local(parameter).isfinite().all()
    for name, buffer in module.named_buffers():
        if buffer.is_floating_point():
            of_numbers = buffer.isfinite() if name.endswith(_RUNNING_STATISTICS) else ~buffer.isnan()
            flags[name] = ~of_numbers.all()
    if not flags:
        return []
    device = next(iter(flags.values())).device
    found = torch.stack([flag.to(device) for flag in flags.values()]).tolist()  # one synchronization
    return [name for name, is_bad in zip(flags, found, strict=True) if is_bad]


def in_words(names: Sequence[str], shown: int = 3) -> str:
    """Return "NaN or infinity in a, b, c and 5 more"."""
    return f"NaN or infinity in {first_of(names, shown)}"


def _local(parameter: Tensor) -> Tensor:
    """Return the shard of a sharded parameter; a lazy one, which has no values yet, counts as finite."""
    if isinstance(parameter, nn.parameter.UninitializedParameter):
        return torch.zeros(())
    to_local = getattr(parameter, "to_local", None)
    local: Tensor = to_local() if to_local else parameter
    return local.detach()
