"""A copy of a module with the weights of a checkpoint, so that the module itself stays as it is."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeVar, cast

import torch
from lightning.pytorch import LightningModule
from torch import Tensor, nn
from torch.nn.utils import prune

from cuelight.errors import CheckpointError

Module = TypeVar("Module", bound=nn.Module)


def clean_copy(module: Module, shared: Iterable[object] = ()) -> Module:
    """Copy a module to the CPU, in eval mode, without gradients and with its pruning made permanent.

    Args:
        module: The module, which may be in training on any device.
        shared: What the copy may refer to as well, if the module does: the trainer, the data, loggers.

    Returns:
        The copy. Its parameters have no values yet: load them.

    Raises:
        CheckpointError: If the module holds what cannot be copied.
    """
    memo: dict[int, Any] = {id(kept): kept for kept in shared}
    for tensor in _tensors(module):
        memo[id(tensor)] = _on_cpu(tensor)
    try:
        copied = copy.deepcopy(module, memo)
    except (TypeError, RuntimeError, NotImplementedError, AttributeError) as error:
        raise CheckpointError(
            f"{type(module).__name__} cannot be copied: {error}. It holds something that copy.deepcopy refuses, such "
            "as a lock, an open file or a generator."
        ) from error
    for part in copied.modules():
        if isinstance(part, LightningModule):
            part._metric_attributes = None  # noqa: SLF001 - the names of its metrics by their addresses
    _make_pruning_permanent(copied)
    return copied.eval()


def load_weights(module: nn.Module, state_dict: Mapping[str, Any], source: object) -> None:
    """Load weights, all of them and no others.

    Args:
        module: Takes the values.
        state_dict: The weights by name.
        source: Where they come from, for the message.

    Raises:
        CheckpointError: If names or shapes differ.
    """
    try:
        module.load_state_dict(state_dict)
    except RuntimeError as error:
        raise CheckpointError(f"{source}: its weights do not fit {type(module).__name__}: {error}") from error


def _tensors(module: nn.Module) -> Iterator[Tensor]:
    """All parameters, buffers, and results that are kept as attributes, such as a masked weight."""
    for part in module.modules():
        yield from (tensor for tensor in part.parameters(recurse=False))
        yield from (tensor for tensor in part.buffers(recurse=False))
        yield from (value for value in vars(part).values() if isinstance(value, Tensor))


def _on_cpu(tensor: Tensor) -> Tensor:
    if isinstance(tensor, nn.Parameter):
        empty = torch.empty_like(tensor.data, device="cpu")
        return cast("Tensor", nn.Parameter(empty, requires_grad=tensor.requires_grad))
    return tensor.detach().to("cpu", copy=True)


def _make_pruning_permanent(module: nn.Module) -> None:
    for part in module.modules():
        hooks = list(part._forward_pre_hooks.values())  # noqa: SLF001 - where torch.nn.utils.prune keeps its methods
        for hook in hooks:
            if isinstance(hook, prune.BasePruningMethod):
                prune.remove(part, hook._tensor_name)  # type: ignore[no-untyped-call]  # noqa: SLF001
