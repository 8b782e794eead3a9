"""The rules that every callback of Cuelight keeps.

A new callback joins by being registered; if it cannot be made without parameters, or needs more of a trainer than
an empty one, it gets a line in the tables below.
"""

import copy
import inspect

import lightning.pytorch as pl
import pytest
import torch
from lightning.pytorch.demos.boring_classes import BoringModel
from lightning.pytorch.loggers import CSVLogger

from cuelight import registry
from support.comparing import same
from support.played_gpus import PlayedGPUs, played_gpus
from support.trainers import fit

# The parameters that a callback cannot be made without.
MINIMAL = {
    "EarlyStopping": {"monitor": "val/loss"},
    "GradCamCallback": {"target_layer": "layer"},
    "GradientAccumulationScheduler": {"scheduling": {0: 1, 1: 2}},
    "ModelPruning": {"pruning_fn": "l1_unstructured"},
    "StochasticWeightAveraging": {"swa_lrs": 0.05, "swa_epoch_start": 1},
}
# Those that need a GPU get one that is played.
ON_GPU = {"GPUStatsMonitor"}
# State that says where or how long, and so differs between two trainings of the same, or is for Lightning's own.
PASSING = {"Timer": "time_elapsed", "ModelCheckpoint": "dirpath", "EMACallback": "latest_update_step"}


class Model(BoringModel):
    """Lightning's model of one linear layer, with the metrics that callbacks watch."""

    def training_step(self, batch, batch_idx):
        output = super().training_step(batch, batch_idx)
        self.log("train/loss", output["loss"])
        return output

    def validation_step(self, batch, batch_idx):
        self.log("val/loss", super().validation_step(batch, batch_idx)["x"])

    def configure_optimizers(self):
        optimizer = torch.optim.SGD(self.parameters(), lr=0.1, momentum=0.9)
        return [optimizer], [torch.optim.lr_scheduler.StepLR(optimizer, step_size=1)]


def make(name):
    return registry.callbacks.build({"name": name, "params": MINIMAL.get(name, {})})


def strategy_for(callbacks):
    return PlayedGPUs() if ON_GPU.intersection(type(callback).__name__ for callback in callbacks) else "auto"


def train(directory, callbacks, epochs=3, resume=None):
    return fit(
        directory, callbacks, Model, None, resume, max_epochs=epochs, strategy=strategy_for(callbacks),
        limit_train_batches=4, limit_val_batches=2, log_every_n_steps=1, logger=CSVLogger(directory),
        enable_model_summary=any(isinstance(callback, pl.callbacks.ModelSummary) for callback in callbacks),
    )  # fmt: skip


@pytest.fixture(autouse=True)
def gpu():
    with played_gpus():
        yield


class SaveAt(pl.Callback):
    """Saves when an epoch has ended, after all other callbacks."""

    def __init__(self, path, epoch):
        self.path = path
        self.epoch = epoch

    def on_train_epoch_end(self, trainer, pl_module):
        if trainer.current_epoch == self.epoch:
            trainer.save_checkpoint(self.path)


class KeepStates(pl.Callback):
    """Keeps the state of a callback as it is when training starts."""

    def __init__(self, callback):
        self.callback = callback
        self.state = None

    def on_fit_start(self, trainer, pl_module):
        self.state = self.callback.state_dict()


def lasting(name, state):
    return {key: value for key, value in state.items() if key != PASSING.get(name)}


@pytest.mark.parametrize("name", registry.callbacks.kind.builtins)
class TestEveryCallback:
    def test_is_a_callback(self, name):
        assert isinstance(make(name), pl.Callback)

    def test_constructor_only_stores(self, name, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        before = torch.get_rng_state()
        make(name)
        assert not list(tmp_path.iterdir())
        assert torch.equal(before, torch.get_rng_state())

    def test_constructor_leaves_its_arguments_alone(self, name):
        parameters = copy.deepcopy(MINIMAL.get(name, {}))
        registry.callbacks.get(name)(**parameters)
        assert parameters == MINIMAL.get(name, {})

    def test_is_described(self, name):
        summary = registry.callbacks.describe(name).summary
        assert summary.endswith(".")
        assert summary != inspect.getdoc(pl.Callback)

    def test_parameters_are_typed_and_documented(self, name):
        for parameter in registry.callbacks.describe(name).parameters:
            assert parameter.annotation, f"{parameter.name} has no type that can be checked"
            assert parameter.help, f"{parameter.name} has no entry under Args"

    def test_takes_no_parameter_by_another_name(self, name):
        (problem,) = registry.callbacks.problems(
            {"name": name, "params": MINIMAL.get(name, {}) | {"no_such_parameter": 1}}, "trainer.callbacks.0"
        )
        assert "no_such_parameter" in problem.message

    def test_state_survives_a_file(self, name, tmp_path):
        callback = make(name)
        train(tmp_path / "run", [callback])
        torch.save(callback.state_dict(), tmp_path / "state.pt")
        state = torch.load(tmp_path / "state.pt", weights_only=True)
        fresh = make(name)
        if "dirpath" in state:
            fresh.dirpath = state["dirpath"]
        fresh.load_state_dict(state)
        assert same(lasting(name, fresh.state_dict()), lasting(name, state))

    def test_state_survives_a_resume(self, name, tmp_path):
        checkpoint = tmp_path / "two.ckpt"
        first = make(name)
        train(tmp_path / "run", [first, SaveAt(checkpoint, epoch=1)])
        saved = torch.load(checkpoint, weights_only=True)["callbacks"].get(first.state_key, {})
        second = make(name)
        seen = KeepStates(second)
        train(tmp_path / "run", [second, seen], resume=checkpoint)
        assert same(lasting(name, seen.state), lasting(name, saved))

    def test_resumed_equals_uninterrupted(self, name, tmp_path):
        checkpoint = tmp_path / "two.ckpt"
        _, whole = train(tmp_path / "run", [make(name), SaveAt(checkpoint, epoch=1)])
        _, resumed = train(tmp_path / "run", [make(name)], resume=checkpoint)
        assert same(dict(whole.state_dict()), dict(resumed.state_dict()))
