"""Modules whose parameters are sharded over processes (``fully_shard``).

All functions but ``is_sharded`` are collective: every process has to call them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn


def gather_state(module: nn.Module) -> dict[str, Any]:
    """Return the full state dict of a sharded module on the CPU, in the first process; empty in the others."""
    from torch.distributed.checkpoint.state_dict import (  # noqa: PLC0415 - takes seconds, and few need it
        StateDictOptions,
        get_model_state_dict,
    )

    return get_model_state_dict(module, options=StateDictOptions(full_state_dict=True, cpu_offload=True))


def scatter_state(module: nn.Module, state: Mapping[str, Any], strict: bool = True) -> None:
    """Load a full state dict, the same in every process, into a sharded module."""
    from torch.distributed.checkpoint.state_dict import (  # noqa: PLC0415 - takes seconds, and few need it
        StateDictOptions,
        set_model_state_dict,
    )

    options = StateDictOptions(full_state_dict=True, strict=strict)
    set_model_state_dict(module, dict(state), options=options)


def is_sharded(tensor: Tensor) -> bool:
    """Return whether a tensor is a ``DTensor``, without its import, which takes seconds."""
    return hasattr(tensor, "to_local")


def gather_like(shard: Tensor, like: Any) -> Tensor:
    """Return the full tensor, on the CPU, of shards that are placed like those of the ``DTensor`` ``like``."""
    from torch.distributed.tensor import DTensor  # noqa: PLC0415 - takes seconds, and few need it

    whole = DTensor.from_local(
        shard, like.device_mesh, like.placements, run_check=False, shape=like.shape, stride=like.stride()
    )
    return whole.full_tensor().cpu()


def shard_like(whole: Tensor, like: Any) -> Tensor:
    """Return the shard of this process of a full tensor, the same in every process, placed like a ``DTensor``."""
    from torch.distributed.tensor import distribute_tensor  # noqa: PLC0415 - takes seconds, and few need it

    return distribute_tensor(whole.to(like.device), like.device_mesh, like.placements).to_local()
