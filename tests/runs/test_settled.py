"""``finish`` and ``upload`` with nothing to do answer without importing torch, and never when there is something."""

import json
import os
import subprocess
import sys

import pytest

from cuelight.config import load_config
from cuelight.errors import CheckpointError
from cuelight.runs.run import Run
from cuelight.runs.settled import settle, settled_outcomes, state_of
from cuelight.utils.run_directory import training_alone
from support.experiments import experiment, own_parts
from support.processes import cuelight

CODE = """
import sys
from cuelight.cli.main import main
code = main(sys.argv[1:])
heavy = {"torch", "lightning", "timm", "torchvision", "torchmetrics", "numpy"} & sys.modules.keys()
sys.exit(code or (str(heavy) if heavy else 0))
"""


@pytest.fixture(scope="module")
def trained(digits, tmp_path_factory):
    own_parts()
    steps = [{"name": "TestOnTrainEnd"}, {"name": "ExportOnTrainEnd"}]
    run = Run.from_yaml(experiment(digits, epochs=1, callbacks=steps))
    run.train(tmp_path_factory.mktemp("runs"))
    return run.directory


@pytest.fixture
def run(trained, tmp_path):
    """A copy that keeps the times of the files."""
    subprocess.run(["cp", "-a", trained, tmp_path / "run"], check=True)
    return tmp_path / "run"


def test_nobody_finishes_a_run_that_another_process_trains(run) -> None:
    loaded = Run.load(run)
    with training_alone(run), pytest.raises(CheckpointError, match="another process trains or finishes"):
        loaded.finish()
    loaded.finish()


@pytest.mark.parametrize("command", ["finish", "upload"])
def test_nothing_to_do_needs_no_torch(run, command) -> None:
    done = subprocess.run([sys.executable, "-c", CODE, command, run], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "Nothing to do" in done.stderr
    assert ("ExportOnTrainEnd" in done.stdout) == (command == "finish")


def change_a_file(run):
    next(run.glob("export/*.onnx")).write_bytes(b"damaged")


def fail_a_step(run):
    content = json.loads((run / "outcomes.json").read_text())
    content["steps"][0]["status"] = "failed"
    (run / "outcomes.json").write_text(json.dumps(content))


def change_the_configuration(run):
    (run / "config.yaml").write_text((run / "config.yaml").read_text().replace("opset: 17", "opset: 18"))


def save_a_checkpoint(run):
    os.utime(run / "checkpoints" / "last.ckpt")


def skip_a_step(run):
    """What is skipped may become possible, such as a test once there is a split for it."""
    content = json.loads((run / "outcomes.json").read_text())
    content["steps"][0]["status"] = "skipped"
    (run / "outcomes.json").write_text(json.dumps(content))


def damage_the_record(run):
    (run / "outcomes.json").write_text("[" * 100_000)


@pytest.mark.parametrize(
    "change", [change_a_file, fail_a_step, skip_a_step, change_the_configuration, save_a_checkpoint, damage_the_record]
)
def test_any_change_is_looked_at(run, change) -> None:
    assert settled_outcomes(run) is not None
    change(run)
    assert settled_outcomes(run) is None


@pytest.mark.parametrize("line", ["tracker: {mlflow: {tracking_uri: 'sqlite:///x.db'}}", "name: '${env:NAME:-tiny}'"])
def test_what_depends_on_more_than_files_is_never_settled(run, line) -> None:
    key = line.partition(":")[0]
    config = load_config(run / "config.yaml", [f"{key}={line.partition(': ')[2]}"])
    (run / "config.yaml").write_text(config.to_yaml())
    settle(run, config, state_of(run))
    assert settled_outcomes(run) is None


def test_finish_settles_and_a_new_outcome_unsettles(run) -> None:
    loaded = Run.load(run)
    loaded.export()
    assert settled_outcomes(run) is None
    Run.load(run).finish()
    assert settled_outcomes(run) is not None
    Run.load(run, ["exporter.opset=18"]).finish()
    assert settled_outcomes(run) is None


@pytest.mark.parametrize("command", ["finish", "upload"])
@pytest.mark.parametrize("name", ["outcomes.json", "config.yaml"])
def test_a_pipe_in_place_of_a_file_is_not_read(run, tmp_path, command, name) -> None:
    (run / name).unlink()
    os.mkfifo(run / name)
    done = cuelight(command, run, folder=tmp_path)
    assert (done.code, done.err) == (1, f"error: {run / name}: this is a pipe or a device, not a file. Remove it.\n")


def test_a_run_without_steps_is_settled(digits, tmp_path) -> None:
    own_parts()
    run = Run.from_yaml(experiment(digits, epochs=1, callbacks=[{"name": "TestOnTrainEnd", "active": False}]))
    run.train(tmp_path)
    assert json.loads((run.directory / "outcomes.json").read_text())["steps"] == []
    assert settled_outcomes(run.directory) == []
    assert run.finish().outcomes == ()
    run.verify()
