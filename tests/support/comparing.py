"""Compare weights and other state, to the last bit or up to rounding."""

from typing import Any

import torch
from torch import Tensor, nn


def same(one: Any, other: Any) -> bool:
    """Whether two nested values are equal to the last bit."""
    if isinstance(one, Tensor):
        return isinstance(other, Tensor) and one.dtype == other.dtype and torch.equal(one, other)
    if isinstance(one, dict):
        return isinstance(other, dict) and one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(map(same, one, other))
    return one == other


def close(one: dict[str, Tensor], other: dict[str, Tensor], tolerance: float = 1e-6) -> bool:
    """Whether two states are equal up to rounding."""
    return one.keys() == other.keys() and all(
        torch.allclose(one[name], other[name], rtol=tolerance, atol=tolerance) for name in one
    )


def weights_of(module: nn.Module) -> dict[str, Tensor]:
    """Copy the state of a module, whole and by name; every rank has to call it."""
    return {
        name: (tensor.full_tensor() if hasattr(tensor, "full_tensor") else tensor).clone()
        for name, tensor in module.state_dict().items()
    }
