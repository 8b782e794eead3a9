"""Copies of modules, whose weights can be replaced without changing the original."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeVar, cast

from lightning.pytorch import LightningModule
from torch import Tensor, nn
from torch.nn.utils import prune

from cuelight.errors import CheckpointError
from cuelight.weights.pruned_names import is_mask

Module = TypeVar("Module", bound=nn.Module)


def clean_copy(module: Module, shared: Iterable[object] = ()) -> Module:
    """Copy a module to the CPU, in eval mode, without gradients and with its pruning made permanent.

    Args:
        module: The module, which may be in training on any device.
        shared: Objects that the module refers to and that are not copied: the trainer, the data, loggers.

    Raises:
        CheckpointError: If the module has an attribute that cannot be copied.
    """
    memo: dict[int, Any] = {id(kept): kept for kept in shared}
    for part in module.modules():
        for tensor in _tensors([*vars(part).values()]):
            memo[id(tensor)] = _on_cpu(tensor)
    try:
        copied = copy.deepcopy(module, memo)
    except (TypeError, RuntimeError, NotImplementedError, AttributeError) as error:
        raise CheckpointError(
            f"{type(module).__name__} cannot be copied: {error}. One of its attributes does not support "
            "copy.deepcopy, such as a lock, an open file or a generator. Delete it in on_train_end of the module or of "
            "an earlier callback, if it is no longer needed."
        ) from error
    for part in copied.modules():
        if isinstance(part, LightningModule):
            part._metric_attributes = None  # noqa: SLF001 - a cache of metric names by object id
    _make_pruning_permanent(copied)
    return copied.eval()


def load_weights(module: nn.Module, state_dict: Mapping[str, Any], source: object) -> None:
    """Load weights strictly, unless Lightning's ``strict_loading`` of the module is off.

    Args:
        module: The module.
        state_dict: The weights by name.
        source: Origin of the weights, for the error message.

    Raises:
        CheckpointError: If names or shapes differ.
    """
    try:
        module.load_state_dict(state_dict, strict=getattr(module, "strict_loading", True))
    except RuntimeError as error:
        raise CheckpointError(f"{source}: its weights do not match {type(module).__name__}: {error}") from error


def _tensors(values: Iterable[Any]) -> Iterator[Tensor]:
    """Yield all tensors in the attributes of a module: parameters, buffers and cached results, also in containers."""
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
        parameters = dict(part.named_parameters(recurse=False))
        for mask in [name for name, _ in part.named_buffers(recurse=False) if is_mask(name, parameters)]:
            prune.remove(part, mask.removesuffix("_mask"))  # type: ignore[no-untyped-call]
