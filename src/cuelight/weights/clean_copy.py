"""A copy of a module with the weights of a checkpoint, so that the module itself stays as it is."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeVar, cast

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
        The copy, with the values that the module has now.

    Raises:
        CheckpointError: If the module holds what cannot be copied.
    """
    memo: dict[int, Any] = {id(kept): kept for kept in shared}
    for part in module.modules():
        for tensor in _tensors([*vars(part).values()]):
            memo[id(tensor)] = _on_cpu(tensor)
    try:
        copied = copy.deepcopy(module, memo)
    except (TypeError, RuntimeError, NotImplementedError, AttributeError) as error:
        raise CheckpointError(
            f"{type(module).__name__} cannot be copied: {error}. It holds something that copy.deepcopy refuses, such "
            "as a lock, an open file or a generator; an attribute that is not needed any more can be deleted in "
            "on_train_end of the module or of a callback before this one."
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
        CheckpointError: If names or shapes differ; names may, if the module sets Lightning's ``strict_loading`` off.
    """
    try:
        module.load_state_dict(state_dict, strict=getattr(module, "strict_loading", True))
    except RuntimeError as error:
        raise CheckpointError(f"{source}: its weights do not fit {type(module).__name__}: {error}") from error


def _tensors(values: Iterable[Any]) -> Iterator[Tensor]:
    """All tensors in the attributes of a module: parameters, buffers, and results that were kept, also in lists."""
    for value in values:
        if isinstance(value, Tensor):
            yield value
        elif isinstance(value, dict):
            yield from _tensors(value.values())
        elif isinstance(value, (list, tuple, set)):
            yield from _tensors(value)


def _on_cpu(tensor: Tensor) -> Tensor:
    copied = tensor.detach().to("cpu", copy=True)
    if isinstance(tensor, nn.Parameter):
        return cast("Tensor", nn.Parameter(copied, requires_grad=tensor.requires_grad))
    return copied


def _make_pruning_permanent(module: nn.Module) -> None:
    for part in module.modules():
        hooks = list(part._forward_pre_hooks.values())  # noqa: SLF001 - where torch.nn.utils.prune keeps its methods
        for hook in hooks:
            if isinstance(hook, prune.BasePruningMethod):
                prune.remove(part, hook._tensor_name)  # type: ignore[no-untyped-call]  # noqa: SLF001
