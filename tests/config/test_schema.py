# ruff: noqa: E501 - whole messages, to be read as a person reads them
import copy
import subprocess
import sys

import pytest
from pydantic import ValidationError

from cuelight.config import Config, SchedulerPart, load_config
from cuelight.errors import ConfigError

MINIMAL = {"model": {"name": "M"}, "data": {"name": "D"}}


def load(trainer=None, **sections):
    return load_config({**MINIMAL, "trainer": trainer, **sections})


def message(trainer=None, **sections):
    with pytest.raises(ConfigError) as caught:
        load(trainer, **sections)
    (problem,) = caught.value.problems
    return f"{problem.path}: {problem.message}"


def test_defaults():
    trainer = load().trainer
    assert (trainer.epochs, trainer.batch_size, trainer.seed, trainer.num_workers) == (10, 32, 42, 2)
    assert trainer.optimizer.name == "AdamW"
    assert trainer.optimizer.params == {"lr": 1e-3}
    assert trainer.scheduler is None
    assert trainer.callbacks == []
    assert load().name == "run"


def test_empty_sections_mean_their_defaults():
    empty = {"trainer": None, "tracker": None, "exporter": None}
    assert load_config({**MINIMAL, **empty}) == load_config(MINIMAL)
    config = load({"callbacks": None, "optimizer": {"params": None}}, model={"name": "M", "params": None})
    assert config.trainer.callbacks == []
    assert config.model.params == {}


@pytest.mark.parametrize(
    ("trainer", "expected"),
    [
        ({"epochs": "5"}, 'trainer.epochs: expected a whole number of at least 0, got the text "5". Write 5 without quotes.'),
        ({"epochs": "ten"}, 'trainer.epochs: expected a whole number of at least 0, got the text "ten".'),
        ({"epochs": True}, "trainer.epochs: expected a whole number of at least 0, got true."),
        ({"epochs": -1}, "trainer.epochs: expected a whole number of at least 0, got -1."),
        ({"epochs": 5.0}, "trainer.epochs: expected a whole number of at least 0, got 5.0."),
        ({"max_steps": "1_000"}, 'trainer.max_steps: expected a whole number of at least 1, or null, got the text "1_000". Write 1000.'),
        ({"deterministic": "on"}, 'trainer.deterministic: expected true or false, got the text "on". Write true: on is text here, as in YAML 1.2.'),
        ({"gradient_clip_val": "1e-3"}, 'trainer.gradient_clip_val: expected a number of at least 0, or null, got the text "1e-3". Write 1e-3 without quotes.'),
        ({"validation_interval": 1.5}, "trainer.validation_interval: expected a whole number of at least 1, or a number more than 0 and less than 1, got 1.5."),
        ({"accelerator": 5}, 'trainer.accelerator: expected text, got 5. Write "5" in quotes if text is meant.'),
        ({"strategy": ""}, 'trainer.strategy: expected a non-empty text, got the text "".'),
        ({"devices": ["a"]}, 'trainer.devices: expected a whole number, "auto", or a list of whole numbers, got the list [a].'),
        ({"epoch": 5}, 'trainer.epoch: unknown key "epoch". Did you mean "epochs"?'),
        ({"model": 5}, 'trainer.model: unknown key "model". It belongs at the top of the file, without indentation.'),
        ({"scheduler": {"name": "StepLR", "interval": "epcoh"}}, 'trainer.scheduler.interval: expected "epoch" or "step", got the text "epcoh". Did you mean "epoch"?'),
        ({"callbacks": ["EarlyStopping"]}, 'trainer.callbacks.0: expected a mapping with name and params, got the text "EarlyStopping". Write {name: EarlyStopping}.'),
        ({"callbacks": {"name": "A"}}, "trainer.callbacks: expected a list of mappings with name and params, got the mapping {name: A}."),
        ({"callbacks": [{"name": "A", "active": "on"}]}, 'trainer.callbacks.0.active: expected true or false, got the text "on". Write true: on is text here, as in YAML 1.2.'),
        ({"callbacks": [{"name": "A", "decay": 1}]}, 'trainer.callbacks.0.decay: unknown key "decay". Parameters go under params; the keys here are name, params or active.'),
        ({"callbacks": [{"params": {}}]}, "trainer.callbacks.0.name: this key is missing; expected text"),
        ([1], "trainer: expected a mapping, got the list [1]."),
        ("epochs:5", 'trainer: expected a mapping, got the text "epochs:5". A colon needs a space after it.'),
    ],
)  # fmt: skip
def test_messages(trainer, expected):
    assert message(trainer) == expected


@pytest.mark.parametrize(
    ("tracker", "expected"),
    [
        ({"mlflow": "on"}, 'tracker.mlflow: expected true or false, or a mapping, got the text "on". Write true: on is text here, as in YAML 1.2.'),
        ({"mlflow": "http://x"}, 'tracker.mlflow: expected true or false, or a mapping, got the text "http://x".'),
        ({"mlflow": {"tracking_url": "http://x"}}, 'tracker.mlflow.tracking_url: unknown key "tracking_url". Did you mean "tracking_uri"?'),
        ({"mlflow": {"tracking_uri": 3}}, 'tracker.mlflow.tracking_uri: expected text or null, got 3. Write "3" in quotes if text is meant.'),
        ({"wandb": None}, "tracker.wandb: expected true or false, or a mapping, got nothing (null). The value after the colon is missing."),
        ({"wandb": {"mode": "offlin"}}, 'tracker.wandb.mode: expected "online" or "offline", got the text "offlin". Did you mean "offline"?'),
        ({"tensorboard": {"dir": ""}}, 'tracker.tensorboard.dir: expected a non-empty text, got the text "".'),
        ({"mlfow": True}, 'tracker.mlfow: unknown key "mlfow". Did you mean "mlflow"?'),
    ],
)  # fmt: skip
def test_messages_about_trackers(tracker, expected):
    assert message(tracker=tracker) == expected


def test_tracker_is_a_switch_or_a_section():
    tracker = {"tensorboard": False, "csv": True, "mlflow": {"experiment": "e"}, "wandb": True}
    config = load(tracker=tracker)
    assert config.tracker.mlflow.experiment == "e"
    assert load_config(config.to_dict()) == config
    assert (config.tracker.tensorboard, config.tracker.wandb) == (False, True)


def test_a_literal_suggests_the_nearest():
    assert message({"precision": "bf16-mix"}).endswith('got the text "bf16-mix". Did you mean "bf16-mixed"?')


@pytest.mark.parametrize("value", ["90 minuts", {"hour": 1}, 5, "", {}, "0m", {"hours": -1}, {"hours": True}])
def test_max_time_refuses(value):
    assert message({"max_time": value}).startswith('trainer.max_time: expected a duration such as "90m"')


@pytest.mark.parametrize("value", [0, -2, []])
def test_devices_refuses(value):
    assert message({"devices": value}).startswith("trainer.devices: expected a number of devices (at least 1, or -1")


@pytest.mark.parametrize("value", [-1, 1, [0], [0, 1], "auto"])
def test_devices_accepts(value):
    assert load({"devices": value}).trainer.devices == value


@pytest.mark.parametrize("value", ["90m", "1h30m", "00:01:30:00", {"hours": 1.5}, None])
def test_max_time_accepts(value):
    assert load({"max_time": value}).trainer.max_time == value


def test_keys_at_the_wrong_place_are_told_the_right_one():
    assert message(epochs=3) == 'epochs: unknown key "epochs". It belongs in trainer.'
    assert "at least 11 and at most 23, got 3" in message(exporter={"opset": 3})


@pytest.mark.parametrize("name", ["../x", "/x", "a/b", ".x", "", "a\nb", "x.", 5, None, "a\\b"])
def test_a_name_must_do_for_a_folder(name):
    assert message(name=name).startswith("name: expected")


@pytest.mark.parametrize("precision", ["32-true", 16, "bf16-mixed", "64"])
def test_precisions_of_lightning(precision):
    assert load({"precision": precision}).trainer.precision == precision


def test_a_config_cannot_be_changed():
    config = load()
    with pytest.raises(ValidationError):
        config.trainer.epochs = 3


def test_sections_can_be_made_in_python():
    with pytest.raises(ValidationError):
        SchedulerPart(name="StepLR", warmup=-3)
    assert Config(**copy.deepcopy(MINIMAL)) == load_config(MINIMAL)


def test_the_room_imports_nothing_heavy():
    code = (
        "import cuelight.config, sys; print([m for m in ('torch', 'lightning', 'numpy', 'rich') if m in sys.modules])"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"


@pytest.mark.parametrize(
    ("freeze", "expected"),
    [
        ("stem", 'model.freeze: expected a list of names of layers, or of mappings with match and until_epoch, got the text "stem".'),
        ([3], "model.freeze: expected a list of names of layers, or of mappings with match and until_epoch, got the list [3]."),
        ([""], 'model.freeze.0: expected a non-empty text, got the text "".'),
        (["a", {"match": "b", "until_epoch": 0}], "model.freeze.1.until_epoch: expected a whole number of at least 1, or null, got 0."),
        ([{"until_epoch": 2}], "model.freeze.0.match: this key is missing; expected text"),
        ([{"match": "b", "until": 2}], 'model.freeze.0.until: unknown key "until". Did you mean "until_epoch"?'),
    ],
)  # fmt: skip
def test_messages_about_frozen_layers(freeze, expected):
    assert message(model={"name": "A", "freeze": freeze}) == expected


def test_frozen_layers_are_written_as_they_were_read():
    freeze = ["stem", {"match": "layer1", "until_epoch": 3}]
    config = Config.model_validate({"model": {"name": "A", "freeze": freeze}, "data": {"name": "B"}})
    assert [entry.match for entry in config.model.freeze] == ["stem", "layer1"]
    assert config.to_dict()["model"]["freeze"] == freeze
    assert Config.model_validate(config.to_dict()) == config
    assert Config.model_validate({"model": {"name": "A", "freeze": None}, "data": {"name": "B"}}).model.freeze == []
