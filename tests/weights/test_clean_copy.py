"""A copy of a module that shares nothing with it."""

import threading

import lightning.pytorch as pl
import pytest
import torch
from torch import nn
from torch.nn.utils import prune

from cuelight.errors import CheckpointError
from cuelight.weights.clean_copy import clean_copy, load_weights
from support.tiny import TinyModel

INPUT = torch.randn(4, 6, generator=torch.Generator().manual_seed(0))


def loaded(model, shared=()):
    copied = clean_copy(model, shared)
    load_weights(copied, model.state_dict(), "here")
    return copied


def test_copy_computes_the_same_and_shares_nothing() -> None:
    model = TinyModel()
    model(INPUT).sum().backward()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    copied = loaded(model)
    assert not any(part.training for part in copied.modules())
    assert all(part.training for part in model.modules())
    assert all(parameter.grad is None for parameter in copied.parameters())
    assert all(parameter.grad is not None for parameter in model.parameters())
    assert torch.equal(copied(INPUT), model.eval()(INPUT))
    with torch.no_grad():
        for tensor in (*copied.parameters(), *copied.buffers()):
            tensor.zero_()
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


def test_frozen_parameters_stay_frozen_and_tied_ones_tied() -> None:
    model = nn.Sequential(nn.Linear(6, 6), nn.Linear(6, 6))
    model[1].weight = model[0].weight
    model[0].bias.requires_grad_(False)
    copied = loaded(model)
    assert copied[1].weight is copied[0].weight
    assert not copied[0].bias.requires_grad


def test_pruned_module_is_copied_with_its_zeros() -> None:
    model = TinyModel()
    prune.l1_unstructured(model.network[0], "weight", amount=0.5)
    model(INPUT)  # the masked weight is now a result with a history, which deepcopy refuses
    expected = model.eval()(INPUT)
    state = {name: value for name, value in model.state_dict().items() if "weight_" not in name}
    state |= {"network.0.weight": model.network[0].weight.detach()}
    copied = clean_copy(model)
    load_weights(copied, state, "here")
    assert torch.equal(copied(INPUT), expected)
    assert prune.is_pruned(model)
    assert not prune.is_pruned(copied)


def test_what_is_shared_is_not_copied() -> None:
    model = TinyModel()
    model.heavy = heavy = threading.Lock()
    assert clean_copy(model, [heavy]).heavy is heavy
    with pytest.raises(CheckpointError, match="TinyModel cannot be copied"):
        clean_copy(model)


def test_wrong_weights_are_named() -> None:
    with pytest.raises(CheckpointError, match=r"best\.ckpt: its weights do not match TinyModel"):
        load_weights(clean_copy(TinyModel()), {"other": torch.zeros(1)}, "best.ckpt")


def test_copy_belongs_to_no_trainer() -> None:
    model = TinyModel()
    model.trainer = pl.Trainer(accelerator="cpu", logger=False, enable_checkpointing=False)
    assert loaded(model)._trainer is None
    assert model.trainer is not None
