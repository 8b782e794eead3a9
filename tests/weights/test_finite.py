"""Which tensors make a model useless."""

import pytest
import torch
from torch import nn

from cuelight.weights.finite import in_words, not_finite_tensors

INF, NAN = float("inf"), float("nan")


class WithMask(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.network = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.LazyLinear(2))
        self.register_buffer("mask", torch.tensor([0.0, -INF]))


@pytest.mark.parametrize(
    ("name", "value", "is_bad"),
    [
        ("network.0.weight", NAN, True),
        ("network.0.bias", INF, True),
        ("network.1.running_mean", NAN, True),
        ("network.1.running_var", INF, True),
        ("mask", INF, False),
        ("mask", NAN, True),
    ],
)
def test_nan_is_never_meant_and_infinity_in_a_mask_only(name, value, is_bad) -> None:
    module = WithMask()
    assert not_finite_tensors(module) == []
    tensor = (dict(module.named_parameters()) | dict(module.named_buffers()))[name]
    tensor.data.view(-1)[0] = value
    assert not_finite_tensors(module) == ([name] if is_bad else [])


def test_words() -> None:
    assert in_words(["a", "b"]) == "NaN or infinity in a, b"
    assert in_words(["a", "b", "c", "d", "e"]) == "NaN or infinity in a, b, c and 2 more"
