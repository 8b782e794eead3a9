"""What ``cuelight plan`` says, and what it keeps to itself."""

import re
from functools import partial

import pytest
import torch

from cuelight import registry
from cuelight.cli.main import main
from cuelight.errors import ConfigError
from cuelight.runs.run import Run
from cuelight.tasks import ClassificationModel
from support.experiments import OWN_PARTS, experiment, own_parts, write_yaml

SECRET = "hunter2"


@pytest.fixture
def plan(tmp_path, capsys, monkeypatch):
    """Plan a tree and give what was printed."""
    own_parts()
    monkeypatch.setattr("cuelight.registry.load_source", lambda source: None)  # loaded above, once
    monkeypatch.setattr("logging.basicConfig", lambda **settings: None)

    def planned(tree):
        assert main(["plan", str(write_yaml(tmp_path / "x.yaml", tree)), "--source", str(OWN_PARTS)]) == 0
        return capsys.readouterr().out

    return planned


def checkpoints(*monitors, **more):
    params = ({"monitor": name, "mode": "min" if "loss" in name else "max", **more} for name in monitors)
    return [{"name": "ModelCheckpoint", "params": entry} for entry in params]


@pytest.mark.parametrize(
    ("callbacks", "tested"),
    [
        ([], "the checkpoint with the best val/accuracy"),
        (checkpoints("val/loss"), "the checkpoint with the lowest val/loss"),
        (checkpoints("val/loss", "val/f1"), "the checkpoint with the best val/f1"),
        (checkpoints("val/loss", "val/f1", "val/accuracy"), "the checkpoint with the best val/accuracy"),
        (checkpoints("val/accuracy", save_top_k=0), "skipped: no best checkpoint is saved"),
        (
            [{"name": "ModelCheckpoint", "params": {"every_n_epochs": 2}}],
            "skipped: no best checkpoint is saved",
        ),
    ],
)
def test_says_which_checkpoint_is_tested(plan, monkeypatch, digits, callbacks, tested):
    monkeypatch.setattr(own_parts().TinyNet, "main_metric", "accuracy", raising=False)
    monkeypatch.setattr(own_parts().TinyNet, "logged_metrics", ("val/loss", "val/accuracy", "val/f1"), raising=False)
    assert plan(experiment(digits, callbacks=callbacks)).rstrip().endswith(f"TestOnTrainEnd  {tested}")


def test_says_what_comes_after_the_training(plan, monkeypatch, digits):
    monkeypatch.setattr(own_parts().TinyNet, "main_metric", "accuracy", raising=False)
    steps = [{"name": "TestOnTrainEnd", "active": False}, {"name": "ExportOnTrainEnd"}]
    steps.append({"name": "ArchiveOnTrainEnd", "params": {"preferred_checkpoint": "loss"}})
    after = plan(experiment(digits, callbacks=steps)).partition("After the training\n")[2].splitlines()
    assert [" ".join(line.split()) for line in after] == [
        "ExportOnTrainEnd the checkpoint with the best val/accuracy",
        "ArchiveOnTrainEnd the checkpoint with the lowest val/loss",
    ]
    nothing = plan(experiment(digits, callbacks=steps[:1])).partition("After the training\n")[2]
    assert nothing.split() == ["nothing"]


def test_says_that_an_average_is_seen_from_any_place(plan, digits):
    shown = plan(experiment(digits, callbacks=[{"name": "Timer"}, {"name": "EMACallback"}]))
    assert "trainer.callbacks.1; validation and checkpoints use its average" in shown


@pytest.mark.parametrize(
    ("section", "told"),
    [
        ({}, "tensorboard, csv"),
        ({"tensorboard": False, "csv": False}, "none"),
        (
            {"mlflow": {"tracking_uri": f"http://ada:{SECRET}@localhost:5000"}, "wandb": {"mode": "offline"}},
            "tensorboard, csv, mlflow (http://REDACTED@localhost:5000), wandb (offline)",
        ),
        (
            {"csv": False, "tensorboard": {"dir": "logs"}, "mlflow": {"tracking_uri": "${env:AT}"}},
            "tensorboard (logs), mlflow (${env:AT})",
        ),
    ],
)
def test_says_where_results_are_sent(plan, monkeypatch, digits, section, told):
    monkeypatch.setenv("AT", f"http://{SECRET}:5000")
    out = plan(experiment(digits) | {"tracker": section})
    assert re.search(rf"^trackers +{re.escape(told)} *$", out, re.MULTILINE)
    assert SECRET not in out


def test_shows_references_and_not_values(plan, monkeypatch):
    for name, value in {"FILE": SECRET, "WIDE": "4", "METRIC": "val/loss", "TIME": "17m", "STOPPER": "Timer"}.items():
        monkeypatch.setenv(name, value)
    tree = experiment("${env:FILE}", max_time="${env:TIME}")
    tree["model"]["params"] = {"wide": "${env:WIDE}", "brings": ["[b]"]}
    tree["trainer"]["callbacks"] = [
        {"name": "ModelCheckpoint", "params": {"monitor": "${env:METRIC}"}},
        {"name": "${env:STOPPER}", "active": False, "params": {"duration": "00:00:01:00"}},
    ]
    out = plan(tree)
    for text in ("file: '${env:FILE}'", "wide: '${env:WIDE}'", "max_time ${env:TIME}", " - ${env:STOPPER}", "['[b]']"):
        assert text in out
    assert "the checkpoint with the lowest ${env:METRIC}" in out
    assert not re.search(rf"{SECRET}|17m|val/loss|- Timer", out)


@pytest.mark.parametrize(
    "change",
    [
        {"model": {"name": "ClassificationModel", "params": {"backbone": "${env:SECRET}"}}},
        {"trainer": {"accelerator": "${env:SECRET}"}},
        {"trainer": {"strategy": "${env:SECRET}"}},
        {"trainer": {"callbacks": [{"name": "EarlyStopping", "params": {"monitor": "${env:SECRET}"}}]}},
        {"trainer": {"scheduler": {"name": "ReduceLROnPlateau", "monitor": "${env:SECRET}"}}},
        {"trainer": {"callbacks": [{"name": "EarlyStopping", "params": {"monitor": "a", "mode": "${env:SECRET}"}}]}},
    ],
    ids=str,
)
def test_no_refusal_shows_the_value(monkeypatch, change):
    monkeypatch.setenv("SECRET", SECRET)
    with pytest.raises(ConfigError) as caught:
        Run.from_yaml({"model": {"name": "ClassificationModel"}, "data": {"name": "Digits"}, **change})
    assert "${env:SECRET}" in str(caught.value)
    assert SECRET not in str(caught.value)


def test_a_missing_folder_of_images_says_what_a_path_is_relative_to(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    tree = {"model": {"name": "ClassificationModel"}, "data": {"name": "ImageFolder", "params": {"path": "pets"}}}
    with pytest.raises(ConfigError) as caught:
        Run.from_yaml(tree).train()
    assert list(tmp_path.iterdir()) == []
    assert f"looked for {tmp_path / 'pets'}" in str(caught.value)
    assert "change it with data.params.path=..." in str(caught.value)


@pytest.mark.parametrize(
    ("params", "key", "words"),
    [
        ({"target_layer": "backbone.layer9"}, "target_layer", 'Did you mean "backbone.layer'),
        ({"target_layer": -500}, "target_layer", "has no layer -500"),
        ({"target_layer": "auto", "class_idx": "eleven"}, "class_idx", 'unknown class "eleven"'),
        ({"target_layer": "auto", "class_idx": 10}, "class_idx", "class index 10 is out of range"),
    ],
)
def test_a_layer_or_class_that_the_model_does_not_have_is_found_before_anything_is_written(
    tmp_path, params, key, words
):
    tree = {
        "model": {"name": "ClassificationModel", "params": {"backbone": "test_resnet"}},
        "data": {"name": "Digits"},
        "trainer": {"callbacks": [{"name": "GradCamCallback", "params": params}], "accelerator": "cpu"},
    }
    for use in (Run.plan, partial(Run.train, output=tmp_path)):
        with pytest.raises(ConfigError, match=rf"trainer\.callbacks\.0\.params\.{key}: .*{words}"):
            use(Run.from_yaml(tree))
    assert list(tmp_path.iterdir()) == []


@registry.models.register
class NeedsItsNumbers(ClassificationModel):
    """Reads values while it is made, which a tensor without values cannot give."""

    def __init__(self, num_classes: int = 10, input_size: tuple[int, int] = (28, 28), in_channels: int = 1) -> None:
        super().__init__("test_resnet", num_classes=num_classes, input_size=input_size, in_channels=in_channels)
        self.rates = [rate.item() for rate in torch.linspace(0, 1, 3)]


def test_a_model_that_cannot_be_made_without_values_is_planned():
    assert Run.from_yaml({"model": {"name": "NeedsItsNumbers"}, "data": {"name": "Digits"}}).plan()
