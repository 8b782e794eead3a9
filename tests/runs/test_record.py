"""What a training records of itself, while it runs and however it ends."""

import errno
import json
import os
import signal

import lightning.pytorch as pl
import pytest
import torch

from cuelight import registry
from cuelight.errors import TrainingInterrupted
from cuelight.runs.record import recorded_training
from cuelight.runs.run import Run
from support.experiments import experiment, own_parts


@pytest.fixture(autouse=True)
def _parts():
    own_parts()


def run_of(digits, *callbacks, epochs=1, **trainer):
    return Run.from_yaml(experiment(digits, epochs=epochs, scheduler=None, callbacks=list(callbacks), **trainer))


def record_of(directory):
    return json.loads((directory / "training.json").read_text())


def test_complete_training_tells_length_best_and_callbacks(digits, tmp_path) -> None:
    run = run_of(digits, {"name": "First"}, epochs=2)
    result = run.train(tmp_path)
    told = record_of(run.directory)
    assert (told["status"], told["reason"], told["epochs"], told["steps"]) == ("complete", "", 2, 10)
    best = [(entry["monitor"], entry["path"]) for entry in told["best"]]
    assert best == [("val/accuracy", "checkpoints/best_accuracy.ckpt"), ("val/loss", "checkpoints/best_loss.ckpt")]
    assert told["best"][0]["score"] == result.best.score
    planned = [{"name": entry.name, "origin": entry.origin} for entry in run.plan()]
    assert told["callbacks"] == planned


def test_callbacks_that_the_model_brings_are_told(digits, tmp_path) -> None:
    tree = experiment(digits, epochs=1, scheduler=None)
    tree["model"]["params"] = {"brings": ["Brought"]}
    run = Run.from_yaml(tree)
    run.train(tmp_path)
    assert {"name": "Brought", "origin": "added by the model"} in record_of(run.directory)["callbacks"]


def test_early_end_has_a_reason(digits, tmp_path) -> None:
    run = run_of(digits, epochs=2, max_steps=3)
    run.train(tmp_path)
    told = record_of(run.directory)
    assert (told["status"], told["steps"]) == ("complete", 3)
    assert told["reason"].startswith("trainer.max_steps: 3 ended the training")


@pytest.mark.parametrize("steps", [3, 8, 10], ids=["in the first", "in the second", "after the second"])
@pytest.mark.parametrize("limit", ["max_steps", "max_time"])
def test_a_resume_without_time_left_names_the_epoch_of_the_stop(digits, tmp_path, limit, steps) -> None:
    run = run_of(digits, epochs=3, max_steps=steps)
    run.train(tmp_path)
    stopped = record_of(run.directory)
    changes = ["trainer.max_steps=null", "trainer.max_time=1s"] if limit == "max_time" else []
    again = Run.load(run.directory, changes)
    if limit == "max_time":
        state = torch.load(run.directory / "checkpoints" / "last.ckpt", weights_only=True)
        state["callbacks"]["Timer"] = {
            "time_elapsed": {"train": 5.0, "sanity_check": 0.0, "validate": 0.0, "test": 0.0}
        }
        torch.save(state, run.directory / "checkpoints" / "last.ckpt")
    again.resume()
    resumed = record_of(run.directory)
    epoch = 1 if steps == 3 else 2
    assert (stopped["epochs"], stopped["steps"]) == (resumed["epochs"], resumed["steps"]) == (epoch, steps)
    assert stopped["reason"].endswith(f" ended the training in epoch {epoch}.")
    assert resumed["reason"].endswith(f" ended the training in epoch {epoch}.")


def test_an_end_in_the_middle_of_the_last_epoch_has_a_reason(digits, tmp_path) -> None:
    run = run_of(digits, epochs=1, max_steps=3)
    run.train(tmp_path)
    assert record_of(run.directory)["reason"].startswith("trainer.max_steps: 3 ended the training")


def test_running_training_names_its_process(digits, tmp_path) -> None:
    seen = {}

    @registry.callbacks.register
    class LooksAtRecord(pl.Callback):
        """Reads the record when the training starts."""

        def on_train_start(self, trainer, pl_module):
            seen.update(record_of(run.directory))

    run = run_of(digits, {"name": "LooksAtRecord"})
    run.train(tmp_path)
    assert (seen["status"], seen["process"]["pid"]) == ("running", os.getpid())
    assert seen["ended"] is None


def test_signal_is_an_interruption_and_a_resume_completes_it(digits, tmp_path) -> None:
    events = {"name": "Events", "params": {"path": str(tmp_path / "events"), "signal_at": 5}}
    run = run_of(digits, events, epochs=2)
    with pytest.raises(TrainingInterrupted):
        run.train(tmp_path / "runs")
    told = record_of(run.directory)
    assert (told["status"], told["reason"]) == ("interrupted", "stopped by SIGINT")
    assert 0 < told["steps"] < 10
    Run.load(run.directory, ["trainer.callbacks.0.params.signal_at=null"]).resume()
    assert (record_of(run.directory)["status"], record_of(run.directory)["steps"]) == ("complete", 10)


def test_error_is_a_failure_with_its_reason(digits, tmp_path) -> None:
    events = {"name": "Events", "params": {"path": str(tmp_path / "missing" / "events")}}
    run = run_of(digits, events)
    with pytest.raises(FileNotFoundError):
        run.train(tmp_path / "runs")
    told = record_of(run.directory)
    assert told["status"] == "failed"
    assert told["reason"].startswith("FileNotFoundError: ")


def test_record_that_cannot_be_written_ends_nothing(digits, tmp_path, monkeypatch, caplog) -> None:
    def full(path, value):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("cuelight.runs.record.write_json", full)
    run = run_of(digits)
    assert run.train(tmp_path).metrics
    assert "training.json cannot be written: OSError: [Errno 28] No space left on device." in caplog.text


def broken_disk(*_):
    raise OSError(errno.EIO, "Input/output error")


def test_complete_training_is_recorded_though_its_best_cannot_be_told(digits, tmp_path, monkeypatch, caplog) -> None:
    monkeypatch.setattr("cuelight.runs.record.from_callbacks", broken_disk)
    run = run_of(digits)
    assert run.train(tmp_path).metrics
    told = record_of(run.directory)
    assert (told["status"], told["epochs"], "best" in told) == ("complete", 1, False)
    assert "training.json is incomplete: OSError: [Errno 5] Input/output error." in caplog.text


def test_interrupted_training_is_recorded_though_its_best_cannot_be_told(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("cuelight.runs.record.from_callbacks", broken_disk)
    with pytest.raises(TrainingInterrupted), recorded_training(tmp_path, _Idle(), [], None):
        raise TrainingInterrupted(signal.SIGTERM)
    assert (record_of(tmp_path)["status"], record_of(tmp_path)["reason"]) == ("interrupted", "stopped by SIGTERM")


@pytest.mark.parametrize("part", ["why_it_ended", "own_process"])
def test_complete_training_is_recorded_whatever_cannot_be_told(tmp_path, monkeypatch, part) -> None:
    monkeypatch.setattr(f"cuelight.runs.record.{part}", broken_disk)
    with recorded_training(tmp_path, _Idle(), [], None):
        pass
    assert record_of(tmp_path)["status"] == "complete"


def test_other_processes_write_nothing(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("RANK", "1")
    with pytest.raises(ValueError, match="x"), recorded_training(tmp_path, _Idle(), [], None):
        raise ValueError("x")
    assert list(tmp_path.iterdir()) == []


class _Idle:
    """What the record looks at in a trainer."""

    current_epoch = global_step = 0
    max_epochs = None
    callbacks = checkpoint_callbacks = ()
