"""Modules whose parameters are spread over processes (``fully_shard``), as a whole."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn


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


def is_sharded(tensor: Tensor) -> bool:
    """Return whether a tensor is sharded over processes.

    Args:
        tensor: Any tensor.

    Returns:
        Whether it is a ``DTensor``; that type itself takes seconds to import.
    """
    return hasattr(tensor, "to_local")


def gather_like(shard: Tensor, like: Any) -> Tensor:
    """Gather a tensor whose shards lie as those of another; every process has to call it.

    Args:
        shard: The shard of this process.
        like: A ``DTensor``.

    Returns:
        The whole tensor, on the CPU.
    """
    from torch.distributed.tensor import DTensor  # noqa: PLC0415 - takes seconds, and few need it

    whole = DTensor.from_local(
        shard, like.device_mesh, like.placements, run_check=False, shape=like.shape, stride=like.stride()
    )
    return whole.full_tensor().cpu()


def shard_like(whole: Tensor, like: Any) -> Tensor:
    """Find the shard of this process; every process has to call it with the same tensor.

    Args:
        whole: The whole tensor.
        like: A ``DTensor``.

    Returns:
        The part of ``whole`` that lies as the shard of ``like`` in this process.
    """
    from torch.distributed.tensor import distribute_tensor  # noqa: PLC0415 - takes seconds, and few need it

    return distribute_tensor(whole.to(like.device), like.device_mesh, like.placements).to_local()
