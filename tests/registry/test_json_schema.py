"""Editors accept and refuse what Cuelight accepts and refuses, as far as names and types are concerned."""

import copy

import pytest
from jsonschema import Draft202012Validator

from cuelight import registry
from cuelight.config import load_config
from cuelight.errors import ConfigError
from cuelight.registry.json_schema import make_schema
from support.experiments import own_parts

VALID = {"model": {"name": "ClassificationModel"}, "data": {"name": "ImageFolder", "params": {"path": "photos"}}}


@pytest.fixture(scope="module")
def schema():
    made = make_schema()
    Draft202012Validator.check_schema(made)
    return made


def changed(key, value):
    tree = copy.deepcopy(VALID)
    *parents, last = key.split(".")
    part = tree
    for parent in parents:
        part = part.setdefault(parent, {})
    part[last] = value
    return tree


def accepted(tree):
    try:
        load_config(tree, check_part=registry.check_part)
    except ConfigError:
        return False
    return True


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("model.name", "ClassificationModle"),
        ("model.params", {"backbone": "resnet81"}),
        ("model.params", {"backbon": "resnet18"}),
        ("model.params", {"drop_rate": 1}),
        ("model.params", {"pretrained": 3}),
        ("model.freeze", [{"until_epoch": 3}]),
        ("model.freeze", [3]),
        ("model", {}),
        ("model", None),
        ("data.params", {}),
        ("data.params.size", "large"),
        ("data.params.size", [1, 2, 3]),
        ("data.params.transforms", [{"name": "RandomFlip"}]),
        ("data.params.transforms", [{"name": "RandomRotation"}]),
        ("data.params.resize", "zoom"),
        ("data.params.batch_size", 3),
        ("epochs", 3),
        ("trainer", {"epoch": 3}),
        ("trainer", {"epochs": -1}),
        ("trainer", {"epochs": 1.5}),
        ("trainer", {"precision": "16-mixd"}),
        ("trainer", {"optimizer": {"name": "Adem"}}),
        ("trainer", {"optimizer": {"name": "SGD", "params": {"lr": "fast"}}}),
        ("trainer", {"optimizer": {"params": {"params": 1}}}),
        ("trainer", {"scheduler": {"name": "StepLR"}}),
        ("trainer", {"scheduler": {"name": "StepLR", "params": {"step_size": 2}, "interval": "batch"}}),
        ("trainer", {"callbacks": {"name": "Timer"}}),
        ("trainer", {"callbacks": [{"name": "EMACallback", "params": {"decay": 1}}]}),
        ("trainer", {"callbacks": [{"name": "EMACallback", "parms": {}}]}),
        ("trainer", {"callbacks": [{"params": {}}]}),
        ("tracker", {"mlflow": {"url": "x"}}),
        ("tracker", {"wandb": {"mode": "of"}}),
        ("exporter", {"opset": 99}),
    ],
)
def test_mistakes(key, value, schema) -> None:
    tree = changed(key, value)
    assert not accepted(tree)
    assert not Draft202012Validator(schema).is_valid(tree)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("name", "cats"),
        ("model.params", {"backbone": "resnet18.a1_in1k", "pretrained": True, "drop_rate": 0.5}),
        ("model.params", {"pretrained": "weights/resnet18.safetensors"}),
        ("model.freeze", ["stem", {"match": "layer1", "until_epoch": 3}]),
        ("model.params", None),
        ("model.params", {"backbone": "${env:BACKBONE:-resnet18}", "drop_rate": "${env:RATE:-0.5}"}),
        ("data.params.size", [64, 32]),
        ("data.params.path", "${env:HOME}"),
        ("data.params.transforms", [{"name": "RandomHorizontalFlip", "params": {"p": 0.5}}]),
        ("trainer", None),
        ("trainer", {"epochs": "${env:EPOCHS:-3}", "max_time": {"hours": 2}, "devices": [0], "scheduler": None}),
        ("trainer", {"optimizer": {"params": {"lr": 0.1}}, "callbacks": None}),
        ("trainer", {"optimizer": {"name": "Adam", "params": {"betas": [0.9, 0.99]}}}),
        ("trainer", {"scheduler": {"name": "OneCycleLR", "params": {"max_lr": 0.1}, "interval": "step"}}),
        ("trainer", {"callbacks": [{"name": "Timer", "active": False}]}),
        ("trainer", {"callbacks": [{"name": "ModelCheckpoint", "params": {"monitor": "val/loss", "save_top_k": 2}}]}),
        ("tracker", {"mlflow": {"tracking_uri": "http://x", "tags": {"a": 1}}, "wandb": False}),
        ("exporter", {"tolerance": None, "compression": "xz"}),
    ],
)
def test_what_is_right(key, value, schema) -> None:
    tree = changed(key, value)
    assert accepted(tree)
    assert list(Draft202012Validator(schema).iter_errors(tree)) == []


def test_help_and_defaults_are_for_hovering(schema) -> None:
    definitions = schema["$defs"]
    [timer] = [
        part for part in definitions["callback"]["allOf"] if part["if"]["properties"]["name"]["const"] == "Timer"
    ]
    assert "duration" in timer["then"]["properties"]["params"]["properties"]
    assert definitions["TrainerConfig"]["properties"]["epochs"]["description"] == "Number of epochs."
    assert definitions["TrainerConfig"]["properties"]["epochs"]["default"] == 10


def test_parts_of_ones_own_are_known_once_they_are_registered() -> None:
    own_parts()
    tree = {"model": {"name": "TinyNet"}, "data": {"name": "FewDigits", "params": {"file": "x"}}}
    validator = Draft202012Validator(make_schema())
    assert validator.is_valid(tree)
    tree["data"]["params"] = {"fil": "x"}
    assert not validator.is_valid(tree)
