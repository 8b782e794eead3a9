"""A training begins with the weights of another one, and leaves alone what is frozen."""

import re

import pytest
import timm
import torch

from cuelight.errors import ConfigError
from cuelight.registry.values import convert
from cuelight.runs.run import Run
from support.experiments import experiment, last, own_parts, same_training, write_yaml

SHORT = {"name": "OneCycleLR", "interval": "step", "params": {"max_lr": 1, "total_steps": 1}}


@pytest.fixture(autouse=True)
def _parts():
    own_parts()


def classifier(digits, model=None, **trainer):
    given = experiment(digits, **{"epochs": 1, "scheduler": None, **trainer})
    network = {"name": "ClassificationModel", "params": {"backbone": "test_resnet"}}
    return given | {"model": network | (model or {})}


@pytest.fixture(scope="module")
def trained(digits, tmp_path_factory):
    own_parts()
    run = Run.from_yaml(classifier(digits, epochs=2))
    run.train(tmp_path_factory.mktemp("runs"))
    return run


def test_a_run_gives_its_best_weights(digits, trained, tmp_path) -> None:
    model = {"init_from": str(trained.directory), "freeze": ["backbone"]}
    frozen = classifier(digits, model | {"freeze": ["backbone.conv1", "backbone.bn1", "backbone.layer*"]})
    run = Run.from_yaml(frozen)
    run.train(tmp_path)
    before = torch.load(trained.best().path, weights_only=True)["state_dict"]
    after = last(run.directory)["state_dict"]
    still = [name for name in after if name.startswith(("backbone.conv1", "backbone.bn1", "backbone.layer"))]
    assert [name for name in still if "running_mean" in name]
    for name in still:
        torch.testing.assert_close(after[name], before[name], rtol=0, atol=0)
    assert not torch.equal(after["backbone.fc.weight"], before["backbone.fc.weight"])


def test_a_resume_keeps_what_is_frozen(digits, trained, tmp_path) -> None:
    given = {"init_from": str(trained.best().path), "freeze": ["backbone.layer*"]}
    groups = {"optimizer": {"name": "SGD", "params": {"lr": 0.1}, "layer_decay": 0.5, "decay_norms": False}}
    whole, parts = (Run.from_yaml(classifier(digits, given, **groups, epochs=epochs)) for epochs in (2, 1))
    whole.train(tmp_path / "whole")
    parts.train(tmp_path / "parts")
    resumed = Run.load(parts.directory, {"trainer.epochs": 2})
    resumed.resume()
    assert same_training(whole.directory, resumed.directory)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"model.freeze": ["backbone.fc"]}, "other groups of parameters"),
        ({"trainer.optimizer.decay_norms": False}, "other groups of parameters"),
        ({"model.init_from": "elsewhere.ckpt"}, "the weights of the checkpoint are used"),
    ],
)
def test_changes_that_a_resume_cannot_apply_are_refused(trained, change, reason) -> None:
    with pytest.raises(ConfigError, match=f"cannot be changed for a resume: .*{reason}"):
        Run.load(trained.directory, {"trainer.epochs": 3, **change}).resume()


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ({"init_from": "nowhere.ckpt"}, r"model\.init_from: .*nowhere\.ckpt"),
        ({"freeze": ["backbone.lyer1"]}, r"model\.freeze\.0: no parameter of the model matches"),
        ({"freeze": ["*"]}, "there is nothing to train"),
    ],
)
def test_mistakes_are_found_by_plan_and_train(digits, tmp_path, model, message, caplog) -> None:
    run = Run.from_yaml(classifier(digits, model))
    with pytest.raises(ConfigError, match=message):
        run.train(tmp_path / "runs")
    assert not (tmp_path / "runs").exists()
    if "init_from" in model:  # it may exist on another machine
        Run.from_yaml(classifier(digits, model)).plan()
        assert re.search(message, caplog.text)


def test_settings_of_groups_are_checked_with_the_file(digits) -> None:
    groups = [{"match": "*", "params": {"lr": "fast", "moment": 0.9}}]
    with pytest.raises(ConfigError, match=r"(?s)groups\.0\.params\.lr: expected a number.*groups\.0\.params\.moment"):
        Run.from_yaml(classifier(digits, optimizer={"name": "SGD", "params": {"lr": 0.1}, "groups": groups}))


@pytest.mark.parametrize(
    "change",
    [
        {"model": {"name": "TinyNet", "freeze": ["nothing"]}},
        {"trainer": {"optimizer": {"name": "SGD", "groups": [{"match": "nothing", "params": {"lr": 0.1}}]}}},
        {"trainer": {"max_steps": 3, "scheduler": SHORT}},
    ],
)
def test_mistakes_have_a_place_in_the_file(digits, tmp_path, change) -> None:
    tree = experiment(digits)
    for section, values in change.items():
        tree[section] |= values
    with pytest.raises(ConfigError, match=r"tiny\.yaml:\d+: "):
        Run.from_yaml(write_yaml(tmp_path / "tiny.yaml", tree)).train(tmp_path / "runs")


def test_weights_that_do_not_fit(digits, tmp_path) -> None:
    torch.save({"a": torch.ones(3)}, tmp_path / "a.pt")
    with pytest.raises(ConfigError, match=r"model\.init_from: .*none of its 1 weights fits the model"):
        Run.from_yaml(classifier(digits, {"init_from": str(tmp_path / "a.pt")})).train(tmp_path / "runs")


@pytest.fixture
def weights_of_timm(tmp_path):
    torch.manual_seed(5)
    torch.save(timm.create_model("test_resnet", in_chans=1).state_dict(), tmp_path / "timm.pth")
    return tmp_path / "timm.pth"


def test_a_run_begins_with_the_weights_of_a_file_and_then_does_not_need_it(digits, tmp_path, weights_of_timm) -> None:
    freeze = ["backbone.conv1", "backbone.layer*"]
    params = {"backbone": "test_resnet", "pretrained": str(weights_of_timm)}
    run = Run.from_yaml(classifier(digits, {"params": params, "freeze": freeze}))
    run.train(tmp_path / "runs")
    given = torch.load(weights_of_timm, weights_only=True)["layer4.0.conv1.weight"]
    weights_of_timm.unlink()
    for resumed in (run, Run.load(run.directory, {"trainer.epochs": 2})):
        assert torch.equal(last(run.directory)["state_dict"]["backbone.layer4.0.conv1.weight"], given)
        resumed.test()
        if resumed is not run:
            resumed.resume()


def test_a_file_of_weights_that_does_not_exist(digits, tmp_path, caplog) -> None:
    tree = classifier(digits, {"params": {"backbone": "test_resnet", "pretrained": "nowhere.pth"}})
    file = write_yaml(tmp_path / "tiny.yaml", tree)
    Run.from_yaml(file).plan()  # it may exist on another machine
    assert re.search(r"tiny\.yaml:\d+: model\.params\.pretrained: there is no such file; expected true,", caplog.text)
    with pytest.raises(ConfigError, match=r"tiny\.yaml:\d+: model\.params\.pretrained: nowhere\.pth: there is no such"):
        Run.from_yaml(file).train(tmp_path / "runs")
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(("text", "is_on"), [("true", True), ("false", False)])
def test_an_environment_variable_still_switches_pretrained(digits, monkeypatch, text, is_on, caplog) -> None:
    monkeypatch.setenv("PRETRAINED", text)
    tree = classifier(digits, {"params": {"backbone": "test_resnet", "pretrained": "${env:PRETRAINED}"}})
    Run.from_yaml(tree).plan()
    assert "there is no such file" not in caplog.text
    assert convert(bool | str, Run.from_yaml(tree).config.model.params["pretrained"]) is is_on
