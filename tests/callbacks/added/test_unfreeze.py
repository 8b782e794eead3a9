"""Layers are frozen until an epoch, and a resume goes on in the same way."""

import logging
from itertools import pairwise

import pytest
import torch
from lightning.pytorch.callbacks import Callback, ModelPruning
from lightning.pytorch.strategies import DDPStrategy, ModelParallelStrategy

from cuelight.callbacks.added.unfreeze import Unfreeze
from cuelight.config import Config
from cuelight.config.schema import FrozenLayers
from cuelight.errors import ConfigWarning, CuelightError
from cuelight.runs.run import Run
from support.experiments import experiment, own_parts, same_training
from support.ranks import on_ranks
from support.tiny import TinyData, TinyModel
from support.trainers import fit, quiet_trainer

STEPS = {"name": "StepLR", "interval": "step", "params": {"step_size": 4, "gamma": 0.7}}
FIRST = FrozenLayers(match="network.[01]", until_epoch=2)


class Weights(Callback):
    """Keeps the tensors of the module at the start of each epoch and at the end."""

    def __init__(self):
        self.seen = []

    def on_train_epoch_start(self, trainer, pl_module):
        self.seen.append({name: value.clone() for name, value in pl_module.state_dict().items()})

    on_train_end = on_train_epoch_start


def changed(before, after):
    return {name for name in before if not torch.equal(before[name], after[name])}


def trained(callbacks, **options):
    weights = Weights()
    fit(callbacks=[*callbacks, weights], **options)
    return weights.seen


def test_layers_and_their_statistics_stay_until_their_epoch() -> None:
    first, second, third, last = trained([Unfreeze([FIRST])], max_epochs=3)
    late = {"network.0.weight", "network.0.bias", "network.1.weight", "network.1.bias"}
    late |= {"network.1.running_mean", "network.1.running_var", "network.1.num_batches_tracked"}
    head = {"network.4.weight", "network.4.bias"}
    assert changed(first, second) == changed(second, third) == head
    assert changed(third, last) == late | head


def test_layers_are_unfrozen_one_after_the_other(caplog) -> None:
    given = [FrozenLayers(match="network.0", until_epoch=2), FrozenLayers(match="network.1", until_epoch=1)]
    with caplog.at_level(logging.INFO, "cuelight"):
        seen = trained([Unfreeze(given)], max_epochs=3)
    # Epochs count from 1, as in the progress.
    assert [line for line in caplog.messages if line.startswith("From")] == [
        f"From epoch {epoch} on, network.{part} is trained too." for epoch, part in ((2, 1), (3, 0))
    ]
    steps = [{name.split(".")[1] for name in changed(*two)} for two in pairwise(seen)]
    assert steps == [{"4"}, {"1", "4"}, {"0", "1", "4"}]


def two_ranks():
    options = {"devices": 2, "strategy": DDPStrategy(process_group_backend="gloo"), "max_epochs": 3}
    data = TinyData(seed=torch.distributed.get_rank())
    seen = trained([Unfreeze([FIRST])], model=TinyModel(), data=data, **options)
    return seen[-2], seen[-1]


def test_processes_average_the_gradients_of_what_is_unfrozen() -> None:
    (before, after), (_, other) = on_ranks(two_ranks)
    assert "network.0.weight" in changed(before, after)
    assert changed({k: v for k, v in after.items() if "running" not in k}, other) == set()


def test_other_strategies_are_refused() -> None:
    unfreeze = Unfreeze([FIRST])
    trainer = quiet_trainer(callbacks=[unfreeze], strategy=ModelParallelStrategy())
    with pytest.raises(CuelightError, match=r"model\.freeze with until_epoch does not work with ModelParallelStrategy"):
        unfreeze.setup(trainer, TinyModel(), "fit")


def test_conflicts_are_found_before_a_training() -> None:
    config = Config.model_validate({"model": {"name": "a"}, "data": {"name": "b"}, "trainer": {"epochs": 2}})
    unfreeze = Unfreeze([FrozenLayers(match="stem"), FIRST])
    (warning,) = unfreeze.check(config, [unfreeze])
    assert isinstance(warning, ConfigWarning)
    assert str(warning).startswith("model.freeze.1.until_epoch: the training of 2 epochs ends before network.[01]")
    (problem,) = Unfreeze([FIRST]).check(None, [ModelPruning("l1_unstructured", amount=0.5)])
    assert "ModelPruning gives new names" in problem.message


@pytest.fixture
def classifier(digits):
    own_parts()
    freeze = ["backbone.conv1.0", {"match": "backbone.layer[12]", "until_epoch": 1}]
    freeze.append({"match": "backbone.layer[34]", "until_epoch": 2})
    optimizer = {"name": "SGD", "params": {"lr": 0.1, "momentum": 0.9}, "layer_decay": 0.8, "decay_norms": False}
    optimizer["groups"] = [{"match": "backbone.layer4", "params": {"lr": 0.02}}]
    model = {"name": "ClassificationModel", "params": {"backbone": "test_resnet"}, "freeze": freeze}

    def make(**trainer):
        callbacks = [{"name": "EMACallback", "params": {"decay": 0.9}}]
        return experiment(digits, **{"optimizer": optimizer, "callbacks": callbacks} | trainer) | {"model": model}

    return make


@pytest.fixture
def whole(classifier, tmp_path):
    run = Run.from_yaml(classifier(epochs=4, scheduler=STEPS))
    run.train(tmp_path / "whole")
    return run


@pytest.mark.parametrize("steps", [3, 5, 8, 13])
def test_a_resume_goes_on_as_if_there_was_no_stop(classifier, whole, tmp_path, steps) -> None:
    """Epochs have five steps: the stop is in a frozen epoch, between two, and after layers were unfrozen."""
    stopped = Run.from_yaml(classifier(epochs=4, scheduler=STEPS, max_steps=steps))
    stopped.train(tmp_path / "stopped")
    resumed = Run.load(stopped.directory, ["trainer.max_steps=null"])
    resumed.resume()
    assert same_training(whole.directory, resumed.directory)


def test_layers_may_be_unfrozen_later_than_planned(classifier, tmp_path) -> None:
    run = Run.from_yaml(classifier(epochs=1))
    run.train(tmp_path)
    Run.load(run.directory, {"trainer.epochs": 2, "model.freeze.1.until_epoch": 2}).resume()
