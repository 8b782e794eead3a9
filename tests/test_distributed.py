"""Two processes train as one: same weights on each, one run directory, a stop and a resume that lose nothing."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from support.experiments import OWN_PARTS, experiment, last, metric_rows, only_run, same_training, write_yaml

EPOCHS = 20
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


@pytest.fixture
def config(tmp_path, digits):
    tree = experiment(digits, epochs=EPOCHS, devices=2, strategy="ddp", batch_size=4)
    return write_yaml(tmp_path / "two.yaml", tree)


def test_ddp_trains_stops_and_resumes_as_one(tmp_path, config) -> None:
    code, out, err = finish(start(tmp_path / "whole", config))
    assert code == 0, err
    assert "test/accuracy" in out
    assert err.count("epoch 1/") == 1  # only the first process reports
    whole = only_run(tmp_path / "whole" / "runs")
    assert last(whole)["global_step"] == EPOCHS * 5  # 40 digits, 2 processes, batches of 4
    assert json.loads((whole / "test" / "results.json").read_text())["test"]["metrics"]["test/accuracy"] > 0.2

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
    assert same_training(whole, interrupted)
    assert [row["step"] for row in metric_rows(whole)] == [row["step"] for row in metric_rows(interrupted)]


@pytest.mark.slow
def test_torchrun_trains_like_lightnings_own_launcher(tmp_path, config) -> None:
    code, _, err = finish(start(tmp_path / "lightning", config))
    assert code == 0, err
    code, out, err = finish(start(tmp_path / "torchrun", config, launcher=TORCHRUN))
    assert code == 0, err
    assert out.count("best checkpoint") == 1
    assert same_training(only_run(tmp_path / "lightning" / "runs"), only_run(tmp_path / "torchrun" / "runs"))


@pytest.mark.slow
def test_two_devices_see_each_digit_once(tmp_path, digits) -> None:
    results = []
    for devices, batch_size in ((1, 8), (2, 4)):
        tree = experiment(digits, epochs=2, devices=devices, batch_size=batch_size)
        # BatchNorm and dropout differ by design between one batch of 8 and two of 4; without a step nothing else may.
        tree["trainer"]["optimizer"] = {"name": "SGD", "params": {"lr": 0.0}}
        tree["trainer"]["scheduler"] = None
        folder = tmp_path / str(devices)
        code, _, err = finish(start(folder, write_yaml(tmp_path / f"{devices}.yaml", tree)))
        assert code == 0, err
        (path,) = Path(folder).glob("runs/*/*/test/results.json")
        results.append(json.loads(path.read_text())["test"]["metrics"]["test/accuracy"])
    assert results[0] == pytest.approx(results[1])
