"""Models pruned by ``torch.nn.utils.prune``, which renames parameters while they are masked."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

_VALUES = "_orig"
_MASK = "_mask"


def with_plain_names(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Replace ``weight_orig`` and ``weight_mask`` in a state dict by ``weight``, with pruned values as zeros.

    A model that was never pruned can load the result.

    Examples:
        >>> import torch
        >>> state = {"weight_orig": torch.ones(2), "weight_mask": torch.tensor([1.0, 0.0]), "bias": torch.ones(1)}
        >>> with_plain_names(state)
        {'weight': tensor([1., 0.]), 'bias': tensor([1.])}
    """
    plain: dict[str, Tensor] = {}
    for name, tensor in state.items():
        if name.endswith(_VALUES) and _stem(name) + _MASK in state:
            plain[_stem(name)] = tensor * state[_stem(name) + _MASK].to(tensor.dtype)
        elif not is_mask(name, state):
            plain[name] = tensor
    return plain


def zero_what_is_pruned(module: nn.Module) -> None:
    """Set the original values under the pruning masks of a module to zero, which does not change its outputs."""
    parameters = dict(module.named_parameters())
    for name, mask in module.named_buffers():
        if is_mask(name, parameters):
            parameters[_stem(name) + _VALUES].data.mul_(mask)


def is_mask(name: str, state: Mapping[str, object]) -> bool:
    """Return whether this is the name of a pruning mask in a state dict."""
    return name.endswith(_MASK) and _stem(name) + _VALUES in state


def _stem(name: str) -> str:
    return name.removesuffix(_VALUES).removesuffix(_MASK)
