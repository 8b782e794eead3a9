"""One text for the same weights, another for any others."""

import pytest
import torch

from cuelight.errors import CheckpointError
from cuelight.weights.fingerprint import fingerprint, fingerprint_of_file

STATE = {"layer.weight": torch.arange(6.0).reshape(2, 3), "layer.count": torch.tensor(3)}


def test_does_not_depend_on_order_memory_or_what_is_no_tensor() -> None:
    strange = {
        "layer.count": torch.tensor(3),
        "layer.weight": torch.arange(6.0).reshape(3, 2).t().reshape(2, 3).new_tensor([[0, 1, 2], [3, 4, 5]]).t().t(),
        "extra": {"a": 1},
    }
    assert fingerprint(strange) == fingerprint(STATE)
    assert fingerprint({"w": torch.arange(6.0).reshape(2, 3).t()}) == fingerprint(
        {"w": torch.arange(6.0).reshape(2, 3).t().contiguous()}
    )


@pytest.mark.parametrize(
    "other",
    [
        STATE | {"layer.count": torch.tensor(4)},
        STATE | {"layer.weight": STATE["layer.weight"] + 1e-7 * torch.eye(2, 3)},
        STATE | {"layer.weight": STATE["layer.weight"].double()},
        STATE | {"layer.weight": STATE["layer.weight"].reshape(3, 2)},
        {"layer.weights": STATE["layer.weight"], "layer.count": STATE["layer.count"]},
        STATE | {"more": torch.zeros(0)},
    ],
    ids=["value", "last bit", "dtype", "shape", "name", "one more"],
)
def test_every_difference_changes_the_fingerprint(other) -> None:
    assert fingerprint(other) != fingerprint(STATE)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.bool, torch.complex64])
def test_tensors_of_any_type_have_a_fingerprint(dtype) -> None:
    zeros = torch.zeros(3, dtype=dtype)
    ones = torch.ones(3, dtype=dtype)
    assert fingerprint({"w": zeros}) != fingerprint({"w": ones})


def test_fingerprint_of_a_file_is_that_of_its_weights(tmp_path) -> None:
    torch.save({"state_dict": STATE}, tmp_path / "a.ckpt")
    assert fingerprint_of_file(tmp_path / "a.ckpt") == fingerprint(STATE)


def test_a_conjugate_view_is_hashed_by_its_values() -> None:
    values = torch.tensor([1 + 2j, 3 - 1j])
    assert fingerprint({"w": values.conj()}) == fingerprint({"w": torch.tensor([1 - 2j, 3 + 1j])})


@pytest.mark.parametrize("tensor", [torch.eye(3).to_sparse(), torch.zeros(3, device="meta")], ids=["sparse", "meta"])
def test_what_has_no_dense_values_is_named(tensor) -> None:
    with pytest.raises(CheckpointError, match="layer: this tensor is sparse, quantized or without values"):
        fingerprint({"layer": tensor})
