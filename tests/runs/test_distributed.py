"""Two processes train as one: same weights on each, one run directory, a stop and a resume that lose nothing."""

import json
import os
import shutil
import signal
import subprocess
import sys

import numpy as np
import pytest

from cuelight.registry import load_source
from cuelight.runs.run import Run
from cuelight.train_end.outcomes import read_outcomes
from support.experiments import OWN_PARTS, experiment, last, metric_rows, only_run, own_parts, same_training, write_yaml

EPOCHS = 20
FAILING_PARTS = OWN_PARTS.with_name("failing_parts.py")
STEPS = [{"name": name} for name in ("TestOnTrainEnd", "ExportOnTrainEnd", "ArchiveOnTrainEnd")]
TORCHRUN = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]


def start(folder, *arguments, launcher=()):
    folder.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, *launcher, "-m", "cuelight", "train", *map(str, arguments), "--source", str(OWN_PARTS)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def finish(process):
    out, err = process.communicate(timeout=240)
    return process.returncode, out, err


def one_digit_more(digits, folder):
    """41 digits for validation and for test, so that one batch of the second process is smaller."""
    content = np.load(digits)
    file = folder / "odd.npz"
    np.savez(file, **{name: np.concatenate([content[name], content[name][:1]]) for name in ("images", "labels")})
    return file


@pytest.fixture(scope="module")
def config(tmp_path_factory, digits):
    folder = tmp_path_factory.mktemp("two")
    tree = experiment(
        one_digit_more(digits, folder), epochs=EPOCHS, devices=2, strategy="ddp", batch_size=4, callbacks=STEPS
    )
    return write_yaml(folder / "two.yaml", tree)


@pytest.fixture(scope="module")
def whole(config):
    """A training with the steps after it, what it printed, and its directory, which tests only read."""
    code, out, err = finish(start(config.parent / "whole", config))
    assert code == 0, err
    return out, err, only_run(config.parent / "whole" / "runs")


def test_two_processes_train_as_one(whole) -> None:
    out, err, directory = whole
    assert "test/accuracy" in out
    assert err.count("epoch 1/") == 1  # only the first process reports
    assert last(directory)["global_step"] == EPOCHS * 5  # 40 digits, 2 processes, batches of 4
    assert json.loads((directory / "test" / "results.json").read_text())["test"]["metrics"]["test/accuracy"] > 0.2


def test_steps_after_the_training_run_once_and_measure_as_one_process(whole, tmp_path) -> None:
    out, _, trained = whole
    assert out.count("ExportOnTrainEnd") == 1
    directory = shutil.copytree(trained, tmp_path / "copy")
    own_parts()
    outcomes = read_outcomes(directory)
    assert [outcome.status for outcome in outcomes.values()] == ["ok", "ok", "ok"]
    alone = Run.load(directory).test()
    assert dict(alone.metrics) == pytest.approx(outcomes["TestOnTrainEnd"].details["metrics"], rel=1e-6)
    assert all(check.ok for check in Run.load(directory).verify())


@pytest.mark.slow
def test_training_that_is_stopped_and_resumed_equals_uninterrupted(tmp_path, config, whole) -> None:
    stopped = start(tmp_path / "stopped", config)
    while "epoch 1/" not in stopped.stderr.readline():
        pass
    stopped.send_signal(signal.SIGTERM)  # to the first process alone
    code, _, err = finish(stopped)
    assert code == 128 + signal.SIGTERM, err
    interrupted = only_run(tmp_path / "stopped" / "runs")
    assert last(interrupted)["global_step"] < EPOCHS * 5
    assert f"--resume {interrupted.relative_to(tmp_path / 'stopped')}" in err

    code, _, err = finish(start(tmp_path / "stopped", "--resume", interrupted))
    assert code == 0, err
    assert same_training(whole[2], interrupted)
    assert [row["step"] for row in metric_rows(whole[2])] == [row["step"] for row in metric_rows(interrupted)]


def train_two(tmp_path, digits, *callbacks):
    own_parts()
    load_source(FAILING_PARTS)
    odd = one_digit_more(digits, tmp_path)
    tree = experiment(odd, epochs=2, devices=2, strategy="ddp", batch_size=4, scheduler=None, callbacks=[*callbacks])
    code, out, err = finish(start(tmp_path, write_yaml(tmp_path / "two.yaml", tree), "--source", FAILING_PARTS))
    return code, out, err, only_run(tmp_path / "runs")


@pytest.mark.slow
def test_a_step_that_fails_on_the_first_of_two_processes(tmp_path, digits) -> None:
    code, _, err, directory = train_two(tmp_path, digits, {"name": "FailingStep"}, *STEPS[:2])
    assert code == 1, err
    assert err.count("FailingStep failed: no good.") == 1
    assert "Traceback" not in err
    assert [outcome.status for outcome in read_outcomes(directory).values()] == ["failed", "ok", "ok"]
    assert last(directory)["global_step"] == 10


@pytest.mark.slow
def test_the_second_of_two_processes_fails_before_the_steps(tmp_path, digits) -> None:
    code, _, err, directory = train_two(tmp_path, digits, {"name": "FailingRank"}, *STEPS[:2])
    assert code != 0, err
    assert "the second process has had enough" in err
    assert last(directory)["global_step"] == 10
    finished = Run.load(directory, ["trainer.callbacks.0.active=false"]).finish()
    assert [outcome.status for outcome in finished.outcomes] == ["ok", "ok"]


@pytest.mark.slow
def test_torchrun_trains_like_lightnings_own_launcher(tmp_path, config, whole) -> None:
    code, out, err = finish(start(tmp_path / "torchrun", config, launcher=TORCHRUN))
    assert code == 0, err
    assert out.count("best checkpoint") == 1
    assert same_training(whole[2], only_run(tmp_path / "torchrun" / "runs"))


@pytest.mark.slow
def test_two_devices_validate_each_digit_once(tmp_path, digits) -> None:
    """Validation tells: the final test runs on one device in any case."""
    odd = one_digit_more(digits, tmp_path)
    validated = []
    for devices, batch_size in ((1, 8), (2, 4)):
        # A BatchNorm would differ by design between batches of 8 and of 4; with neither it nor a step nothing may.
        tree = experiment(odd, epochs=1, devices=devices, batch_size=batch_size, scheduler=None)
        tree["trainer"]["optimizer"] = {"name": "SGD", "params": {"lr": 0.0}}
        network = {"backbone": "resnet10t", "backbone_params": {"norm_layer": "layernorm2d"}}
        tree["model"] = {"name": "ClassificationModel", "params": network}
        code, _, err = finish(start(tmp_path / str(devices), write_yaml(tmp_path / f"{devices}.yaml", tree)))
        assert code == 0, err
        (row,) = (row for row in metric_rows(only_run(tmp_path / str(devices) / "runs")) if row["val/loss"])
        validated.append([float(row[name]) for name in ("val/loss", "val/accuracy", "val/f1")])
    assert validated[0] == pytest.approx(validated[1], rel=1e-5)


@pytest.mark.slow
def test_a_batch_size_that_two_devices_cannot_share_is_refused(tmp_path, digits) -> None:
    content = np.load(digits)
    odd = tmp_path / "odd.npz"
    np.savez(odd, images=content["images"][:13], labels=content["labels"][:13])  # 7 for validation
    tree = experiment(odd, epochs=1, devices=2, strategy="ddp", batch_size=1, scheduler=None)
    code, _, err = finish(start(tmp_path, write_yaml(tmp_path / "odd.yaml", tree)))
    assert code == 1, err
    assert "7 images for validation or test cannot be divided evenly among 2 devices" in err
    assert "Raise batch_size" in err
    assert "Traceback" not in err
