"""What differs between two runs, from their files alone."""

import copy
import json

import pytest
import yaml

from cuelight.cli.main import main
from cuelight.errors import CuelightError
from cuelight.runs import compare as comparing
from cuelight.runs.compare import NOT_SET, compare_runs

CONFIG = {
    "name": "digits",
    "model": {"name": "Net", "params": {"width": 8, "api_key": "one"}},
    "trainer": {
        "epochs": 3,
        "callbacks": [
            {"name": "EMACallback", "active": True, "params": {"decay": 0.5}},
            {"name": "ModelCheckpoint", "active": True, "params": {"monitor": "val/loss"}},
            {"name": "ModelCheckpoint", "active": True, "params": {"monitor": "val/accuracy"}},
        ],
    },
}
METADATA = {
    "run": {"command": "cuelight train", "started": "2026-11-25T10:00:00+00:00", "seed": 3},
    "hyperparameters": {"trainer.epochs": 3},
    "data": {"name": "Digits", "fingerprint": "sha256:" + "a" * 64},
}
MEASURED = {"checkpoint": "checkpoints/best.ckpt", "weights_fingerprint": "c" * 64, "metrics": {"test/loss": 0.5}}
RESULTS = {"test": MEASURED}
OUTCOMES = {"steps": [{"step": "TestOnTrainEnd", "status": "ok", "weights_fingerprint": "c" * 64, "seconds": 1.0}]}


@pytest.fixture
def runs(tmp_path):
    """Writes two runs; what is given replaces what is in the second one, ``None`` leaves it out."""

    def write(name, config=CONFIG, metadata=METADATA, results=RESULTS, outcomes=OUTCOMES):
        directory = tmp_path / name
        (directory / "test").mkdir(parents=True)
        for file, content in (("config.yaml", config), ("metadata.yaml", metadata)):
            if content is not None:
                (directory / file).write_text(yaml.safe_dump(content, sort_keys=False))
        for file, content in (("test/results.json", results), ("outcomes.json", outcomes)):
            if content is not None:
                (directory / file).write_text(json.dumps(content))
        return directory

    return lambda first=CONFIG, **second: (write("first", first), write("second", **second))


def changed(tree, **changes):
    tree = copy.deepcopy(tree)
    for path, value in changes.items():
        comparing.dot_paths.put(tree, path.replace("__", "."), value)
    return tree


def differences(pair, section):
    return {entry.key: (entry.first, entry.second) for entry in compare_runs(*pair).sections[section]}


def with_callbacks(*callbacks):
    tree = copy.deepcopy(CONFIG)
    tree["trainer"]["callbacks"] = list(callbacks)
    return tree


EMA, BY_LOSS, BY_ACCURACY = CONFIG["trainer"]["callbacks"]


def test_equal_runs_are_the_same(runs) -> None:
    pair = runs(metadata=changed(METADATA, run__started="2026-11-25T12:00:00+00:00"))
    assert compare_runs(*pair).is_same
    assert compare_runs(*pair).missing == []


def test_configuration_by_dot_path(runs) -> None:
    pair = runs(config=changed(CONFIG, trainer__epochs=5, model__params={"depth": 2}))
    assert differences(pair, "configuration") == {
        "model.params.width": (8, NOT_SET),
        "model.params.api_key": ("REDACTED", NOT_SET),
        "model.params.depth": (NOT_SET, 2),
        "trainer.epochs": (3, 5),
    }


def test_callback_that_is_inserted_leaves_the_others_alone(runs) -> None:
    pair = runs(config=with_callbacks({"name": "Timer", "active": True}, EMA, BY_LOSS, BY_ACCURACY))
    assert differences(pair, "configuration") == {"trainer.callbacks.Timer.active": (NOT_SET, True)}


def test_defaults_that_only_one_run_has_are_no_difference(runs) -> None:
    tree = changed(CONFIG, trainer__seed=42, trainer__compile=True)  # 42 is the default, and compiling is not
    tree["trainer"]["scheduler"] = None
    stopping = {
        "name": "EarlyStopping",
        "active": True,
        "params": {"monitor": "val/loss", "patience": 3, "mode": "max"},
    }
    cosine = {"name": "CosineAnnealingLR", "params": {"eta_min": 0.5}, "interval": "epoch", "warmup": 0}
    sgd = {"name": "SGD", "params": {"lr": 0.1, "momentum": 0, "nesterov": True}}
    other = changed(with_callbacks(EMA, BY_LOSS, BY_ACCURACY, stopping), trainer__scheduler=cosine)
    found = compare_runs(*runs(config=changed(other, trainer__optimizer=sgd), first=tree)).sections["configuration"]
    assert {entry.key: (entry.first, entry.second) for entry in found} == {
        "trainer.compile": (True, NOT_SET),
        "trainer.scheduler.name": (NOT_SET, "CosineAnnealingLR"),
        "trainer.scheduler.params.eta_min": (NOT_SET, 0.5),
        "trainer.callbacks.EarlyStopping.active": (NOT_SET, True),
        "trainer.callbacks.EarlyStopping.params.monitor": (NOT_SET, "val/loss"),
        "trainer.callbacks.EarlyStopping.params.mode": (NOT_SET, "max"),
        "trainer.optimizer.name": (NOT_SET, "SGD"),
        "trainer.optimizer.params.lr": (NOT_SET, 0.1),
        "trainer.optimizer.params.nesterov": (NOT_SET, True),
    }


def test_results_come_first(runs, capsys) -> None:
    measured = {"test": {**MEASURED, "metrics": {"test/loss": 0.25}}}
    pair = runs(results=measured, config=changed(CONFIG, trainer__epochs=5))
    assert main(["diff", *map(str, pair)]) == 0
    printed = capsys.readouterr().out
    assert printed.index("test/loss") < printed.index("trainer.epochs")


def test_callback_of_the_same_name_by_its_number(runs) -> None:
    pair = runs(config=with_callbacks(EMA, BY_LOSS, {**BY_ACCURACY, "params": {"monitor": "val/f1"}}))
    key = "trainer.callbacks.ModelCheckpoint (2).params.monitor"
    assert differences(pair, "configuration") == {key: ("val/accuracy", "val/f1")}


def test_order_of_callbacks(runs) -> None:
    pair = runs(config=with_callbacks(BY_LOSS, EMA, BY_ACCURACY))
    names = ["EMACallback", "ModelCheckpoint", "ModelCheckpoint"]
    moved = ["ModelCheckpoint", "EMACallback", "ModelCheckpoint"]
    assert differences(pair, "configuration") == {"trainer.callbacks.(order)": (names, moved)}


def test_secrets_are_neither_shown_nor_compared(runs) -> None:
    pair = runs(config=changed(CONFIG, model__params__api_key="two"))
    assert compare_runs(*pair).is_same


def test_metadata_counts_as_it_was_when_the_run_was_resumed_last(runs) -> None:
    entry = {"time": "later", "command": "cuelight train", "step": 5, "changed": {"data.fingerprint": "sha256:other"}}
    pair = runs(metadata=METADATA | {"resumed": [entry]})
    assert differences(pair, "metadata") == {"data.fingerprint": ("sha256:" + "a" * 64, "sha256:other")}


def test_results_with_their_difference(runs) -> None:
    measured = {"test": {**MEASURED, "weights_fingerprint": "d" * 64, "metrics": {"test/loss": 0.25}}}
    loss, weights = compare_runs(*runs(results=measured)).sections["results"]
    assert (loss.key, loss.change) == ("test/loss", -0.25)
    assert (weights.key, weights.change) == ("test.weights_fingerprint", None)


def test_outcomes(runs) -> None:
    failed = {"steps": [{"step": "TestOnTrainEnd", "status": "failed", "reason": "no data", "seconds": 9.0}]}
    assert differences(runs(outcomes=failed), "outcomes") == {
        "TestOnTrainEnd.status": ("ok", "failed"),
        "TestOnTrainEnd.weights_fingerprint": ("c" * 64, NOT_SET),
        "TestOnTrainEnd.reason": (NOT_SET, "no data"),
    }


def test_reasons_of_older_runs_are_shown_without_secrets(runs) -> None:
    failed = {"steps": [{"step": "UploadCheckpoint", "status": "failed", "reason": "https://ada:hunter2@host"}]}
    assert differences(runs(outcomes=failed), "outcomes")["UploadCheckpoint.reason"] == (
        NOT_SET, "https://REDACTED@host",
    )  # fmt: skip


def test_what_a_run_does_not_have_is_not_compared(runs) -> None:
    pair = runs(metadata=None, results=None, outcomes=None)
    found = compare_runs(*pair)
    assert found.is_same
    assert found.missing == [f"{pair[1]} has no {name}" for name in ("results", "outcomes", "metadata")]


@pytest.mark.parametrize("file", ["config.yaml", "metadata.yaml", "test/results.json", "outcomes.json"])
def test_damaged_file_is_named(runs, file) -> None:
    pair = runs()
    (pair[1] / file).write_text('{"half')
    with pytest.raises(CuelightError, match=file):
        compare_runs(*pair)


def test_no_run_directory(runs, tmp_path) -> None:
    with pytest.raises(CuelightError, match="there is no such run directory"):
        compare_runs(runs()[0], tmp_path / "third")
    with pytest.raises(CuelightError, match="this is not a run directory"):
        compare_runs(tmp_path, tmp_path)


def test_command_prints_a_line_for_each_difference(runs, capsys) -> None:
    wide = changed(CONFIG, model__params__width="w" * 300)
    assert main(["diff", *map(str, runs(config=wide))]) == 0
    printed = capsys.readouterr().out
    assert any(line.split() == ["model.params.width", "8", "w" * 300] for line in printed.splitlines())
    assert "The same: results, outcomes, metadata." in printed


def test_command_says_that_runs_are_the_same(runs, capsys) -> None:
    assert main(["diff", *map(str, runs())]) == 0
    assert "The same: results, outcomes, configuration, metadata." in capsys.readouterr().out


def test_command_prints_json(runs, capsys) -> None:
    pair = runs(config=changed(CONFIG, trainer__epochs=5), metadata=None)
    assert main(["diff", *map(str, pair), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "first": str(pair[0]),
        "second": str(pair[1]),
        "same": False,
        "sections": {
            "configuration": {"trainer.epochs": {"first": 3, "second": 5}},
            "metadata": {}, "outcomes": {}, "results": {},
        },
        "missing": [f"{pair[1]} has no metadata"],
    }  # fmt: skip
