"""A run directory that is deleted during the training: what can be saved is, and the command fails and says so."""

import json
import shutil

import pytest

from support.experiments import OWN_PARTS, experiment, last, only_run, write_yaml
from support.processes import cuelight

DELETING_PARTS = '''
import os
import shutil
import signal
from pathlib import Path

import lightning.pytorch as pl

from cuelight import registry


@registry.callbacks.register
class Deletes(pl.Callback):
    """Deletes the run directory in the last of three epochs.

    Args:
        at: The hook.
        then: What happens next: a signal, an error, or a file in its place.
    """

    def __init__(self, at: str, then: str = "") -> None:
        self.at, self.then = at, then

    def _delete(self, trainer):
        folder = Path(trainer.default_root_dir)
        shutil.rmtree(folder)
        if self.then == "signal":
            os.kill(os.getpid(), signal.SIGINT)
        elif self.then == "error":
            raise RuntimeError("after the deletion")
        elif self.then == "file":
            folder.touch()

    def on_train_epoch_start(self, trainer, pl_module):
        if self.at == "on_train_epoch_start" and trainer.current_epoch == 2:
            self._delete(trainer)

    def on_train_end(self, trainer, pl_module):
        if self.at == "on_train_end":
            self._delete(trainer)

    def teardown(self, trainer, pl_module, stage):
        if self.at == "teardown":
            self._delete(trainer)
'''


@pytest.fixture
def train(digits, tmp_path):
    (tmp_path / "deleting_parts.py").write_text(DELETING_PARTS)
    sources = ("--source", OWN_PARTS, "--source", tmp_path / "deleting_parts.py")

    def train(at, then=""):
        callbacks = [{"name": "Deletes", "params": {"at": at, "then": then}}, {"name": "TestOnTrainEnd"}]
        file = write_yaml(tmp_path / "tiny.yaml", experiment(digits, callbacks=callbacks))
        return cuelight("train", file, *sources, folder=tmp_path), sources

    return train


@pytest.mark.parametrize("at", ["on_train_epoch_start", "on_train_end", "teardown"])
def test_last_weights_and_configuration_are_saved_again(tmp_path, train, at) -> None:
    done, sources = train(at)
    directory = only_run(tmp_path / "runs")
    assert done.code == 1
    assert "Traceback" not in done.err
    assert f"error: {directory}: the run directory was deleted or emptied during the training." in done.err
    assert last(directory)["global_step"] == 15
    record = json.loads((directory / "training.json").read_text())
    assert (record["status"], "deleted" in record["reason"]) == ("failed", True)
    checkpoint = directory / "checkpoints" / "last.ckpt"
    assert f"cuelight export {checkpoint.relative_to(tmp_path)}" in done.err
    exported = cuelight("export", checkpoint, *sources, folder=tmp_path)
    assert exported.code == 0, exported.err
    longer = ["trainer.epochs=4", "trainer.callbacks=[]"]
    resumed = cuelight("train", "--resume", directory, *longer, *sources, folder=tmp_path)
    assert resumed.code == 0, resumed.err
    assert last(directory)["global_step"] == 20


def test_stopped_after_the_deletion_it_can_be_resumed(tmp_path, train) -> None:
    done, sources = train("on_train_epoch_start", "signal")
    directory = only_run(tmp_path / "runs")
    assert done.code == 130
    assert "To resume: cuelight train --resume" in done.err
    resumed = cuelight("train", "--resume", directory, "trainer.callbacks=[]", *sources, folder=tmp_path)
    assert resumed.code == 0, resumed.err
    assert last(directory)["global_step"] == 15


def test_an_error_after_the_deletion_is_the_one_that_is_shown(tmp_path, train) -> None:
    done, _ = train("on_train_epoch_start", "error")
    assert done.code == 1
    assert done.err.rstrip().endswith("RuntimeError: after the deletion")
    assert "Only the configuration is written again" in done.err
    assert not list(only_run(tmp_path / "runs").rglob("*.ckpt"))


def test_a_file_in_its_place_is_named(tmp_path, train) -> None:
    done, _ = train("on_train_epoch_start", "file")
    assert done.code == 1
    assert "Traceback" not in done.err
    assert "the checkpoint could not be written: Not a directory" in done.err.rstrip().splitlines()[-1]


@pytest.mark.slow
def test_resumed_training_is_not_deleted_by_a_tracker_that_is_down(digits, tmp_path) -> None:
    source = ("--source", OWN_PARTS)
    file = write_yaml(tmp_path / "tiny.yaml", experiment(digits, epochs=1))
    down = "tracker.mlflow.tracking_uri=http://127.0.0.1:9"
    new = cuelight("train", file, down, *source, folder=tmp_path)
    assert new.code == 1
    assert "error: MLflow at http://127.0.0.1:9 cannot be used" in new.err
    assert not (tmp_path / "runs").exists()
    (tmp_path / "runs").mkdir()
    assert cuelight("train", file, down, *source, folder=tmp_path).code == 1
    assert list((tmp_path / "runs").iterdir()) == []
    assert cuelight("train", file, *source, folder=tmp_path).code == 0
    directory = only_run(tmp_path / "runs")
    resumed = cuelight("train", "--resume", directory, "trainer.epochs=2", down, *source, folder=tmp_path)
    assert resumed.code == 1
    assert last(directory)["global_step"] == 5
    shutil.rmtree(tmp_path / "runs")
