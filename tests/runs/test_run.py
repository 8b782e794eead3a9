"""A run from Python: the same as from the command line, and with errors that name what is missing."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys

import lightning.pytorch as pl
import psutil
import pytest
from PIL import Image

from cuelight import registry
from cuelight.config import Config
from cuelight.errors import CheckpointError, ConfigError
from cuelight.runs.run import Run
from cuelight.utils.files import write_json
from support.comparing import same
from support.experiments import experiment, last, own_parts, same_training, write_yaml


@pytest.fixture(autouse=True)
def _parts():
    own_parts()


@pytest.fixture(scope="module")
def trained(digits, tmp_path_factory):
    own_parts()
    run = Run.from_yaml(experiment(digits, epochs=2, scheduler=None))
    return run, run.train(tmp_path_factory.mktemp("runs"))


def test_result_tells_what_was_measured(trained) -> None:
    run, result = trained
    assert result.directory == run.directory
    assert result.best.monitor == "val/accuracy"
    assert result.checkpoint == result.best.path == run.best().path
    assert set(result.metrics) == {"test/loss", "test/accuracy"}


def test_mapping_and_file_and_overrides_are_the_same(digits, tmp_path) -> None:
    tree = experiment(digits)
    file = write_yaml(tmp_path / "tiny.yaml", tree)
    from_file = Run.from_yaml(file, ["trainer.epochs=5"]).config
    assert from_file == Run.from_yaml(tree, {"trainer.epochs": 5}).config
    assert isinstance(from_file, Config)


def interrupt(*_, **__) -> None:
    raise KeyboardInterrupt


@registry.callbacks.register
class InterruptedBefore(pl.Callback):
    """Ends by Ctrl-C before the training takes the signals."""

    setup = interrupt


def test_ctrl_c_works_after_a_training_that_it_ended_before_its_first_batch(digits, tmp_path) -> None:
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(SystemExit):
        Run.from_yaml(experiment(digits, callbacks=[{"name": "InterruptedBefore"}])).train(tmp_path)
    assert signal.getsignal(signal.SIGINT) is before


def test_ctrl_c_works_after_a_measurement_that_it_ended(trained, monkeypatch) -> None:
    before = signal.getsignal(signal.SIGINT)
    monkeypatch.setattr(own_parts().TinyNet, "setup", interrupt)
    with pytest.raises(SystemExit):
        Run.load(trained[0].directory).test()
    assert signal.getsignal(signal.SIGINT) is before


@registry.callbacks.register
class FailsTwice(pl.Callback):
    """Fails, and once more when it is told of that."""

    def on_train_batch_end(self, *_) -> None:
        raise ValueError("first")

    def on_exception(self, *_) -> None:
        raise ValueError("second")


def test_a_training_that_failed_twice_leaves_the_next_one_its_signals(digits, tmp_path) -> None:
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    with pytest.raises(ValueError, match="second"):
        Run.from_yaml(experiment(digits, callbacks=[{"name": "FailsTwice"}])).train(tmp_path)
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


def test_loaded_run_measures_the_same(trained) -> None:
    run, result = trained
    again = Run.load(run.directory).test()
    assert again.metrics == result.metrics
    assert again.checkpoint == result.checkpoint


def test_moved_run_goes_on_by_itself(trained, tmp_path) -> None:
    run, result = trained
    moved = shutil.copytree(run.directory, tmp_path / "moved")
    loaded = Run.load(moved)
    assert loaded.best().path == moved / "checkpoints" / result.best.path.name
    assert loaded.test().metrics == result.metrics
    before = {path: path.stat().st_mtime_ns for path in run.directory.rglob("*")}
    longer = Run.load(moved, ["trainer.epochs=3"]).resume()
    assert longer.best.path.is_relative_to(moved)
    assert {path: path.stat().st_mtime_ns for path in run.directory.rglob("*")} == before


def test_trained_again_is_the_same(trained, digits, tmp_path) -> None:
    run, result = trained
    again = Run.from_yaml(run.directory / "config.yaml")
    assert again.train(tmp_path).metrics == result.metrics
    assert same_training(again.directory, run.directory)


def test_measuring_changes_no_training(digits, tmp_path, trained) -> None:
    """The test at the end uses a model and a trainer of its own."""
    run, _ = trained
    before = last(run.directory)
    Run.load(run.directory).test(view="val")
    assert same(before["state_dict"], last(run.directory)["state_dict"])


def test_results_of_both_views_are_kept(trained) -> None:
    run, _ = trained
    Run.load(run.directory).test(view="val")
    Run.load(run.directory).test(view="test")
    folder = run.directory / "test"
    results = [json.loads((folder / name).read_text()) for name in ("results.json", "results_val.json")]
    assert [list(result) for result in results] == [["test"], ["val"]]


def test_without_a_directory_there_is_nothing_to_test_or_resume(digits) -> None:
    run = Run.from_yaml(experiment(digits))
    for action in (run.test, run.resume, run.best):
        with pytest.raises(CheckpointError, match="train it first"):
            action()


def test_without_a_checkpoint_there_is_nothing_to_test(digits, tmp_path) -> None:
    run = Run(Run.from_yaml(experiment(digits)).config, tmp_path)
    assert run.best() is None
    with pytest.raises(CheckpointError, match="no checkpoint to test"):
        run.test()


def test_resume_without_a_checkpoint_starts_from_the_beginning(digits, tmp_path, trained, caplog) -> None:
    run = Run.from_yaml(experiment(digits, epochs=2, scheduler=None))
    run.directory = tmp_path
    run.resume()
    assert "starts from the beginning" in caplog.text
    assert same_training(tmp_path, trained[0].directory)


@pytest.fixture
def elsewhere(digits, tmp_path):
    """A run, and a process of which its record says that it trains it."""
    run = Run.from_yaml(experiment(digits, epochs=1))
    run.directory = tmp_path
    run.resume()
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    told = {"host": socket.gethostname(), "pid": process.pid, "created": psutil.Process(process.pid).create_time()}
    record = json.loads((tmp_path / "training.json").read_text())
    write_json(tmp_path / "training.json", record | {"status": "running", "process": told})
    yield run, process
    process.kill()
    process.wait()


@pytest.mark.parametrize("what", ["finish", "upload"])
def test_nothing_is_queued_for_a_run_that_another_process_trains(what, elsewhere, monkeypatch) -> None:
    run, _ = elsewhere
    monkeypatch.setattr("cuelight.runs.trained_run.reopen_loggers", lambda *_: pytest.fail("the queue is not ours"))
    with pytest.raises(CheckpointError, match="is being trained"):
        getattr(Run.load(run.directory), what)()


@pytest.mark.parametrize("what", ["resume", "finish"])
def test_run_that_another_process_trains_is_left_alone(what, elsewhere) -> None:
    run, process = elsewhere
    written_now = run.directory / "checkpoints" / ".last.ckpt.0.partial"
    written_now.touch()
    with pytest.raises(CheckpointError, match=f"is being trained by process {process.pid} since "):
        getattr(Run.load(run.directory), what)()
    assert written_now.exists()

    process.kill()  # and nobody asks for its exit code yet
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    getattr(Run.load(run.directory, ["trainer.epochs=2"]), what)()
    assert not written_now.exists()


def test_training_of_another_machine_is_resumed_with_a_warning(elsewhere, caplog) -> None:
    run, _ = elsewhere
    file = run.directory / "training.json"
    write_json(file, {**(record := json.loads(file.read_text())), "process": record["process"] | {"host": "far"}})
    Run.load(run.directory, ["trainer.epochs=2"]).resume()
    assert "was last being trained on far" in caplog.text


def test_files_that_waited_for_an_upload_are_removed_by_a_new_training(digits, tmp_path) -> None:
    waiting = tmp_path / "spool" / "abandoned" / "MLflow" / "000001"
    waiting.mkdir(parents=True)
    run = Run.from_yaml(experiment(digits, epochs=1))
    run.directory = tmp_path
    run.resume()
    assert not waiting.exists()
    waiting.mkdir(parents=True)
    Run.load(tmp_path, ["trainer.epochs=2"]).resume()
    assert waiting.exists()


def test_nothing_is_made_for_a_file_that_is_wrong(tmp_path) -> None:
    with pytest.raises(ConfigError):
        Run.from_yaml({"model": {"name": "Nonsense"}, "data": {"name": "Digits"}})
    tree = experiment("no-file.npz", callbacks=[{"name": "LearningRateMonitor"}]) | {
        "tracker": {"tensorboard": False, "csv": False}
    }
    with pytest.raises(ConfigError, match="needs a tracker"):
        Run.from_yaml(tree).train(tmp_path)
    assert list(tmp_path.iterdir()) == []


ONE_CYCLE = {"name": "OneCycleLR", "interval": "step", "params": {"max_lr": 0.02}}


@pytest.mark.parametrize(
    "scheduler",
    [
        ONE_CYCLE,
        {"name": "CosineAnnealingLR"},
        {"name": "CosineAnnealingLR", "interval": "step", "warmup": 2},
        {"name": "LinearLR", "interval": "step"},
        {"name": "PolynomialLR"},
        {"name": "StepLR", "params": {"step_size": 1}},
    ],
    ids=lambda scheduler: scheduler["name"],
)
def test_extended_training_has_the_learning_rates_of_one_of_that_length(digits, tmp_path, scheduler) -> None:
    def rates(run):
        state = last(run.directory)
        return state["optimizer_states"][0]["param_groups"][0], state["lr_schedulers"]

    at_once = Run.from_yaml(experiment(digits, epochs=3, scheduler=scheduler))
    at_once.train(tmp_path / "at once")
    run = Run.from_yaml(experiment(digits, epochs=2, scheduler=scheduler))
    run.train(tmp_path / "longer")
    Run.load(run.directory, ["trainer.epochs=3"]).resume()
    assert last(run.directory)["global_step"] == 15
    group, expected = rates(run)[0], rates(at_once)[0]
    assert group["lr"] == pytest.approx(expected["lr"], rel=1e-9, abs=1e-12)
    assert group["betas"] == pytest.approx(expected["betas"])


def test_data_without_a_test_split_is_trained_and_not_tested(tmp_path) -> None:
    for name in ("dark", "light"):
        folder = tmp_path / "images" / name
        folder.mkdir(parents=True)
        for number in range(6):
            level = number if name == "dark" else 255 - number
            Image.new("RGB", (8, 8), (level, level, level)).save(folder / f"{number}.png")
    tree = {
        "model": {"name": "ClassificationModel", "params": {"backbone": "test_resnet"}},
        "data": {"name": "ImageFolder", "params": {"path": str(tmp_path / "images"), "size": 32, "test_split": 0.0}},
        "trainer": {"epochs": 1, "batch_size": 4, "num_workers": 0, "accelerator": "cpu"},
    }
    result = Run.from_yaml(tree).train(tmp_path / "runs")
    assert result.best is not None
    assert dict(result.metrics) == {}
