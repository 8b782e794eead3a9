"""What is changed for a resume takes effect, or is refused with the reason; the file says what was trained."""

import signal
from enum import Enum
from typing import ClassVar

import lightning.pytorch as pl
import pytest
import torch
import yaml

from cuelight import registry
from cuelight.callbacks.ema.ema_callback import EMACallback
from cuelight.callbacks.lightning.model_checkpoint import ModelCheckpoint
from cuelight.config import load_config
from cuelight.data.spec import DataSpec
from cuelight.errors import ConfigError, TrainingInterrupted
from cuelight.runs.defaults import with_defaults
from cuelight.runs.resume_changes import refused_changes
from cuelight.runs.run import Run
from support.experiments import experiment, last, own_parts


class Color(str, Enum):
    """A text that YAML cannot write."""

    RED = "red"


SGD = {"name": "SGD", "params": {"lr": 0.01, "momentum": 0.9}}
BATCHES = 5


@pytest.fixture(autouse=True)
def _parts():
    own_parts()


@registry.callbacks.register
class InterruptAt(pl.Callback):
    """Sends SIGINT after a number of steps."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        if trainer.global_step == self.step:
            signal.raise_signal(signal.SIGINT)


def stopped(digits, folder, step=BATCHES, **trainer):
    """The directory of a training that was stopped at a step: by default at the end of the first epoch."""
    settings = {"epochs": 2, "optimizer": SGD, "scheduler": None} | trainer
    run = Run.from_yaml(
        experiment(digits, **settings, callbacks=[{"name": "InterruptAt", "params": {"step": step - 1}}])
    )
    with pytest.raises(TrainingInterrupted):
        run.train(folder)
    return run.directory


def resumed(directory, *overrides):
    run = Run.load(directory, [*overrides, "trainer.callbacks.0.active=false"])
    run.resume()
    return last(directory)


def test_changed_parameters_of_the_optimizer_take_effect(digits, tmp_path) -> None:
    directory = stopped(digits, tmp_path)
    content = resumed(directory, "trainer.optimizer.params.lr=0.5", "trainer.optimizer.params.weight_decay=0.1")
    [group] = content["optimizer_states"][0]["param_groups"]
    assert (group["lr"], group["momentum"], group["weight_decay"]) == (0.5, 0.9, 0.1)
    assert content["global_step"] == 2 * BATCHES
    written = yaml.safe_load((directory / "config.yaml").read_text())["trainer"]["optimizer"]["params"]
    assert (written["lr"], written["weight_decay"], written["nesterov"]) == (0.5, 0.1, False)


def test_a_resume_without_changes_keeps_the_state_of_the_optimizer(digits, tmp_path) -> None:
    [group] = resumed(stopped(digits, tmp_path))["optimizer_states"][0]["param_groups"]
    assert (group["lr"], group["momentum"], group["weight_decay"]) == (0.01, 0.9, 0)


def test_the_patience_of_early_stopping_takes_effect(digits, tmp_path) -> None:
    watch = {"name": "EarlyStopping", "params": {"monitor": "val/loss", "patience": 5}}
    run = Run.from_yaml(experiment(digits, epochs=1, scheduler=None, callbacks=[watch]))
    run.train(tmp_path)
    again = Run.load(run.directory, ["trainer.epochs=2", "trainer.callbacks.0.params.patience=1"])
    again.resume()
    [state] = [state for key, state in last(run.directory)["callbacks"].items() if key.startswith("EarlyStopping")]
    assert state["patience"] == 1


@pytest.mark.parametrize(
    ("override", "reason"),
    [
        ("trainer.optimizer.name=Adam", "another class"),
        ("model.name=Other", "another class"),
    ],
)
def test_another_class_is_refused(digits, tmp_path, override, reason) -> None:
    directory = stopped(digits, tmp_path)
    before = (directory / "config.yaml").read_text()
    if "model" in override:
        registry.models.register(type("Other", (own_parts().TinyNet,), {"__module__": __name__}))
    overrides = [override, "trainer.optimizer.params={}"] if "optimizer" in override else [override]
    with pytest.raises(ConfigError, match=reason):
        resumed(directory, *overrides)
    assert (directory / "config.yaml").read_text() == before


@pytest.mark.parametrize(
    "override", ["trainer.optimizer.params.lr=0.5", "trainer.scheduler.params.gamma=0.5", "trainer.scheduler=null"]
)
def test_what_the_state_of_the_scheduler_decides_is_refused(digits, tmp_path, override) -> None:
    schedule = {"name": "StepLR", "params": {"step_size": 1, "gamma": 0.7}}
    directory = stopped(digits, tmp_path, scheduler=schedule)
    if override.endswith("null"):
        override = "trainer.scheduler.name=ExponentialLR"
    with pytest.raises(ConfigError, match="scheduler"):
        resumed(directory, override, *(["trainer.scheduler.params={gamma: 0.7}"] if "name" in override else []))


@pytest.mark.parametrize("override", ["trainer.batch_size=4", "trainer.seed=9", "trainer.accumulate_grad_batches=2"])
def test_the_order_of_batches_may_change_between_two_epochs_only(digits, tmp_path, override) -> None:
    within = stopped(digits, tmp_path / "within", step=BATCHES + 2)
    with pytest.raises(ConfigError, match="in the middle of an epoch"):
        resumed(within, override)
    between = Run.from_yaml(experiment(digits, epochs=1, scheduler=None))
    between.train(tmp_path / "between")
    Run.load(between.directory, [override, "trainer.epochs=2"]).resume()
    assert last(between.directory)["epoch"] == 1


def test_other_classes_are_refused(digits, tmp_path, monkeypatch) -> None:
    directory = stopped(digits, tmp_path)
    names = [str(number) for number in range(9, -1, -1)]
    monkeypatch.setattr(own_parts().FewDigits, "class_names", names)
    with pytest.raises(ConfigError, match="the model was trained with 0, 1, 2"):
        resumed(directory)


def test_every_parameter_is_in_the_file_and_means_the_same_again(digits, tmp_path) -> None:
    steps = [{"name": "ModelCheckpoint", "params": {"monitor": "val/loss"}}, {"name": "EMACallback"}]
    transforms = [{"name": "RandomRotation", "params": {"degrees": 5}}]
    tree = experiment(digits, scheduler={"name": "CosineAnnealingLR"}, callbacks=steps)
    tree["data"] = {"name": "Digits", "params": {"transforms": transforms}}
    tree["model"] = {"name": "ClassificationModel", "params": {"backbone": "resnet10t"}}
    complete = with_defaults(Run.from_yaml(tree).config)
    written = complete.to_dict()
    assert written["trainer"]["callbacks"][1]["params"]["decay"] == EMACallback().decay
    assert written["trainer"]["scheduler"]["params"] == {"eta_min": 0.0}
    assert written["model"]["params"]["pretrained"] is False
    assert load_config(complete.to_dict(), (), registry.check_part) == complete
    assert with_defaults(complete) == complete


def test_a_changed_model_that_the_weights_do_not_fit_is_refused_before_anything_is_written(digits, tmp_path) -> None:
    directory = stopped(digits, tmp_path)
    before = {name: (directory / name).read_bytes() for name in ("config.yaml", "training.json")}
    with pytest.raises(ConfigError, match=r"model\.params\.wide: .* the weights of the checkpoint do not fit"):
        resumed(directory, "model.params.wide=16")
    assert {name: (directory / name).read_bytes() for name in before} == before
    resumed(directory, "model.params.dropout=0.1")


def test_another_preprocessing_is_refused(tmp_path) -> None:
    tree = {
        "model": {"name": "ClassificationModel", "params": {"backbone": "test_resnet"}},
        "data": {"name": "Digits", "params": {"size": 14}},
        "trainer": {"epochs": 1, "batch_size": 512, "num_workers": 0, "accelerator": "cpu"},
    }
    run = Run.from_yaml(tree)
    run.train(tmp_path)
    with pytest.raises(ConfigError, match="data: the images are prepared in another way"):
        Run.load(run.directory, ["trainer.epochs=2", "data.params.size=28"]).resume()


def test_another_division_of_the_images_is_refused(tmp_path) -> None:
    tree = {
        "model": {"name": "ClassificationModel", "params": {"backbone": "test_resnet"}},
        "data": {"name": "Digits", "params": {"size": 14}},
        "trainer": {"epochs": 1, "batch_size": 512, "num_workers": 0, "accelerator": "cpu"},
    }
    run = Run.from_yaml(tree)
    run.train(tmp_path)
    with pytest.raises(ConfigError, match=r"data\.params\.split_seed: .* measured on images that it was trained on"):
        Run.load(run.directory, ["trainer.epochs=2", "data.params.split_seed=1"]).resume()
    Run.load(run.directory, ["trainer.epochs=2", "data.params.split_seed=0"]).resume()


@pytest.mark.parametrize("name", ["val_split", "folds", "files", "annotations.train", "columns.label", "classes"])
def test_each_parameter_that_divides_images_is_refused(name) -> None:
    tree = {"model": {"name": "ClassificationModel"}, "data": {"name": "Digits"}}
    (problem,) = refused_changes([f"data.params.{name}"], Run.from_yaml(tree).config, {}, DataSpec())
    assert "measured on images that it was trained on" in problem.message


class PassesOn(ModelCheckpoint):
    """Sets a parameter of its base class by itself."""

    def __init__(self, label: str = "a", share: int = 0.5, color: str = Color.RED, **options: object) -> None:
        super().__init__(monitor="val/loss", **options)


def test_defaults_of_classes_of_ones_own_can_be_read_again() -> None:
    registry.callbacks.register(PassesOn)
    defaults = registry.callbacks.defaults("PassesOn")
    assert defaults == {"label": "a"}  # the others are not of their type, or of the base class
    registry.callbacks.build({"name": "PassesOn", "params": defaults})


@pytest.mark.parametrize("override", ["trainer.optimizer.params.lr=0.5", "model.params.dropout=0.1"])
def test_what_has_no_effect_on_a_complete_training_is_refused(digits, tmp_path, override) -> None:
    run = Run.from_yaml(experiment(digits, epochs=1, scheduler=None))
    run.train(tmp_path)
    before = (run.directory / "config.yaml").read_text()
    with pytest.raises(ConfigError, match="the training is complete, so this has no effect"):
        Run.load(run.directory, [override]).resume()
    assert (run.directory / "config.yaml").read_text() == before
    Run.load(run.directory, [override, "trainer.epochs=2"]).resume()


def test_a_limit_that_was_passed_already_is_refused(digits, tmp_path) -> None:
    run = Run.from_yaml(experiment(digits, epochs=2, max_steps=7, scheduler=None))
    run.train(tmp_path)
    with pytest.raises(ConfigError, match=r"Raise trainer\.epochs or trainer\.max_steps"):
        Run.load(run.directory, ["trainer.max_steps=6"]).resume()


@registry.data.register
class DrawsItsSplit(own_parts().FewDigits):
    """Draws a number when it is made, as for a random split."""

    drawn: ClassVar[list[float]] = []

    def __init__(self, file: str, batch_size: int = 8, seed: int = 42) -> None:
        super().__init__(file, batch_size, seed)
        self.drawn.append(torch.rand(1).item())


def test_data_is_made_with_the_seed_of_the_run(digits, tmp_path) -> None:
    tree = experiment(digits, epochs=1, scheduler=None)
    tree["data"]["name"] = "DrawsItsSplit"
    DrawsItsSplit.drawn.clear()
    for folder in ("first", "second"):
        torch.rand(1)
        Run.from_yaml(tree).train(tmp_path / folder)
    assert len(set(DrawsItsSplit.drawn)) == 1


def test_data_may_be_moved_in_the_middle_of_an_epoch(digits, tmp_path) -> None:
    changed = ["data.params.path", "data.params.on_error"]
    config = Run.from_yaml(experiment(digits)).config
    within = {"loops": {"fit_loop": {"epoch_progress": {"current": {"started": 1, "processed": 0}}}}}
    assert [one.path for one in refused_changes(changed, config, within, DataSpec())] == ["data.params.on_error"]
