"""Whole state dicts of modules whose parameters are spread over processes (``fully_shard``)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn


def gather_state(module: nn.Module) -> dict[str, Any]:
    """Gather the state dict of a sharded module; every process has to call it.

    Args:
        module: The module.

    Returns:
        All tensors on the CPU, in the first process; nothing in the others.
    """
    from torch.distributed.checkpoint.state_dict import (  # noqa: PLC0415 - takes seconds, and few need it
        StateDictOptions,
        get_model_state_dict,
    )

    return get_model_state_dict(module, options=StateDictOptions(full_state_dict=True, cpu_offload=True))


def scatter_state(module: nn.Module, state: Mapping[str, Any], strict: bool = True) -> None:
    """Load a whole state dict into a sharded module; every process has to call it with the same.

    Args:
        module: The module.
        state: All tensors, not sharded.
        strict: Whether the names must be exactly those of the module.
    """
    from torch.distributed.checkpoint.state_dict import (  # noqa: PLC0415 - takes seconds, and few need it
        StateDictOptions,
        set_model_state_dict,
    )

    options = StateDictOptions(full_state_dict=True, strict=strict)
    set_model_state_dict(module, dict(state), options=options)
