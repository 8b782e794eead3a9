"""Whatever goes wrong after a training, what was trained is intact, the rest is done, and the command says so."""

import os
import re
import signal

import pytest

from cuelight.train_end.outcomes import read_outcomes
from cuelight.weights.fingerprint import fingerprint_of_file
from cuelight.weights.reading import load_checkpoint
from support.experiments import OWN_PARTS, experiment, last, only_run, same_training, write_yaml
from support.processes import cuelight

FAULTY_PARTS = '''
import lightning.pytorch as pl
import os
import signal
import torch
from own_parts import TinyNet
from pathlib import Path

from cuelight import registry


@registry.models.register
class FaultyNet(TinyNet):
    """Computes what cannot be exported, or no numbers.

    Args:
        fault: What is wrong with it.
        num_classes: Number of classes.
    """

    def __init__(self, fault: str = "", num_classes: int = 10, optimization: object = None) -> None:
        super().__init__(num_classes, optimization)
        self.fault = fault

    def forward(self, images):
        logits = super().forward(images)
        if self.fault == "export":
            logits = logits + torch.linalg.eigvals(images[:, 0, :10, :10]).real * 0
        if self.fault == "nan" and not self.training:
            logits = torch.where(logits == logits.max(), float("nan"), logits)
        return logits


@registry.callbacks.register
class Interrupt(pl.Callback):
    """Presses Ctrl-C in the seventh step."""

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        if trainer.global_step == 7:
            os.kill(os.getpid(), signal.SIGINT)


@registry.callbacks.register
class Damage(pl.Callback):
    """Damages checkpoints when the training is over.

    Args:
        pattern: Which.
        how: delete or truncate.
    """

    def __init__(self, pattern: str, how: str) -> None:
        self.pattern, self.how = pattern, how

    def on_train_end(self, trainer, pl_module):
        for file in Path(trainer.default_root_dir, "checkpoints").glob(self.pattern):
            file.unlink() if self.how == "delete" else file.write_bytes(file.read_bytes()[:1000])
'''
STEPS = ["TestOnTrainEnd", "ExportOnTrainEnd", "ArchiveOnTrainEnd"]
ALL = [{"name": name} for name in STEPS]
LATER = [{"name": name, "active": False} for name in STEPS]
NOW = [f"trainer.callbacks.{index}.active=true" for index in range(3)]


@pytest.fixture
def sources(tmp_path):
    path = tmp_path / "faulty_parts.py"
    path.write_text(FAULTY_PARTS)
    return ("--source", OWN_PARTS, "--source", path)


def train(digits, folder, sources, callbacks, **model):
    tree = experiment(digits, epochs=2, scheduler=None, callbacks=callbacks)
    if model:
        tree["model"] = {"name": "FaultyNet", "params": model}
    done = cuelight("train", write_yaml(folder / "tiny.yaml", tree), *sources, folder=folder)
    return done, only_run(folder / "runs")


def statuses(directory):
    return [outcome.status for outcome in read_outcomes(directory).values()]


def finish(directory, sources, *arguments, **options):
    return cuelight("finish", directory, *arguments, *sources, folder=directory.parent, **options)


def assert_all_is_there(directory, sources):
    """Whether the run is complete, and whether nothing but complete files is in it."""
    assert statuses(directory) == ["ok", "ok", "ok"]
    assert not list(directory.rglob("*.partial"))
    assert not list(directory.rglob("*.rejected*"))
    verified = cuelight("verify", directory, *sources, folder=directory.parent)
    assert verified.code == 0, verified.out + verified.err


def assert_training_is_intact(directory):
    assert last(directory)["global_step"] == 10
    for file in (directory / "checkpoints").glob("*.ckpt"):
        assert load_checkpoint(file)["state_dict"]


def test_without_a_fault_all_steps_are_done_and_finish_changes_nothing(digits, tmp_path, sources) -> None:
    done, directory = train(digits, tmp_path, sources, ALL)
    assert done.code == 0, done.err
    assert_all_is_there(directory, sources)
    before = {file: file.stat().st_mtime_ns for file in directory.rglob("*") if file.is_file()}
    again = finish(directory, sources)
    assert again.code == 0, again.err
    changed = [
        file.name for file, moment in before.items() if file.stat().st_mtime_ns != moment and "events" not in file.name
    ]
    assert changed in ([], ["metrics.csv"])


def test_full_disk_during_the_export(digits, tmp_path, sources) -> None:
    _, directory = train(digits, tmp_path, sources, LATER)
    done = finish(directory, sources, *NOW, largest_file=20_000)
    assert done.code == 1
    assert "Traceback" not in done.err
    assert "File too large" in done.err
    assert "cuelight finish" in done.err
    assert statuses(directory) == ["ok", "failed", "failed"]
    assert not list((directory / "export").glob("*"))
    assert_training_is_intact(directory)
    assert finish(directory, sources, *NOW).code == 0
    assert_all_is_there(directory, sources)


def test_model_that_gives_nan_fails_every_step(digits, tmp_path, sources) -> None:
    done, directory = train(digits, tmp_path, sources, ALL, fault="nan")
    assert done.code == 1
    assert "Traceback" not in done.err
    assert "is not saved as the best: val/loss is nan" in done.err
    assert statuses(directory) == ["failed", "failed", "failed"]
    for outcome in read_outcomes(directory).values():
        assert outcome.reason.startswith("No model was saved as the best: val/loss is nan")
    told = done.out + done.err
    assert not re.search("cuelight (finish|predict|explain|test|train --resume)", told)
    assert "cuelight report" in told
    assert finish(directory, sources).code == 1


@pytest.mark.slow
def test_model_that_cannot_be_exported_fails_its_steps_alone(digits, tmp_path, sources) -> None:
    done, directory = train(digits, tmp_path, sources, ALL, fault="export")
    assert done.code == 1
    assert "Traceback" not in done.err
    assert "2 post-training steps failed" in done.err
    assert "After fixing the cause, run: cuelight finish" in done.err
    assert "cuelight predict" in done.err
    assert statuses(directory) == ["ok", "failed", "failed"]
    assert "eig" in read_outcomes(directory)["ExportOnTrainEnd"].reason
    assert not (directory / "export" / "tiny.onnx").exists()
    assert_training_is_intact(directory)
    mended = finish(directory, sources, "model.params.fault=none")
    assert mended.code == 0, mended.err
    assert statuses(directory) == ["ok", "ok", "ok"]


@pytest.mark.parametrize("how", ["delete", "truncate"])
def test_checkpoint_is_lost_between_training_and_export(digits, tmp_path, sources, how) -> None:
    damage = {"name": "Damage", "params": {"pattern": "best_accuracy.ckpt", "how": how}}
    done, directory = train(digits, tmp_path, sources, [ALL[0], damage, *ALL[1:]])
    if how == "delete":  # the other best one is exported, which is said
        assert done.code == 0, done.err
        assert "using the best by val/loss: best_loss.ckpt" in done.err
        assert read_outcomes(directory)["ExportOnTrainEnd"].checkpoint == "checkpoints/best_loss.ckpt"
        verified = cuelight("verify", directory, *sources, folder=tmp_path)
        assert verified.code == 1
        assert "best_accuracy.ckpt" in verified.out
        return
    assert done.code == 1
    assert statuses(directory) == ["ok", "failed", "failed"]
    assert "this checkpoint cannot be read" in read_outcomes(directory)["ExportOnTrainEnd"].reason
    (directory / "checkpoints" / "best_accuracy.ckpt").unlink()
    assert finish(directory, sources).code == 0
    assert_all_is_there(directory, sources)


@pytest.mark.parametrize("folder", ["archive", "export", "test"])
def test_folder_that_cannot_be_written(digits, tmp_path, sources, folder) -> None:
    _, directory = train(digits, tmp_path, sources, LATER)
    (directory / folder).write_text("in the way")  # as root, permissions would not hold anyone back
    done = finish(directory, sources, *NOW)
    assert done.code == 1
    assert "Traceback" not in done.err
    failed = [name for name, outcome in read_outcomes(directory).items() if outcome.status == "failed"]
    assert failed == [{"archive": "ArchiveOnTrainEnd", "export": "ExportOnTrainEnd", "test": "TestOnTrainEnd"}[folder]]
    assert_training_is_intact(directory)
    (directory / folder).unlink()
    assert finish(directory, sources, *NOW).code == 0
    assert_all_is_there(directory, sources)


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is forbidden to root")
def test_archive_folder_without_write_permission(digits, tmp_path, sources) -> None:
    _, directory = train(digits, tmp_path, sources, LATER)
    (directory / "archive").mkdir(mode=0o500)
    done = finish(directory, sources, *NOW)
    assert done.code == 1
    assert "Permission denied" in done.err


def test_killed_in_the_middle_of_the_archive(digits, tmp_path, sources) -> None:
    _, directory = train(digits, tmp_path, sources, LATER)
    assert finish(directory, sources, *NOW[:2]).code == 0
    size = (directory / "export" / "tiny.onnx").stat().st_size
    killed = finish(directory, sources, *NOW, largest_file=size // 2, dies_of_it=True)
    assert killed.code == -signal.SIGXFSZ
    assert list((directory / "archive").glob(".*.partial"))
    assert not list((directory / "archive").glob("*.tar"))
    assert_training_is_intact(directory)
    assert finish(directory, sources, *NOW).code == 0
    assert_all_is_there(directory, sources)


def test_interrupted_training_runs_no_step_and_says_how(digits, tmp_path, sources) -> None:
    tree = experiment(digits, epochs=3, callbacks=[{"name": "Interrupt"}, *ALL])
    done = cuelight("train", write_yaml(tmp_path / "tiny.yaml", tree), *sources, folder=tmp_path)
    directory = only_run(tmp_path / "runs")
    assert done.code == 130, done.err
    assert f"cuelight finish runs/tiny/{directory.name}" in done.err
    assert not (directory / "outcomes.json").exists()
    before = last(directory)
    finished = finish(directory, sources)
    assert finished.code == 0, finished.err
    assert_all_is_there(directory, sources)
    assert last(directory)["global_step"] == before["global_step"]


def test_a_longer_training_tests_and_exports_again(digits, tmp_path, sources) -> None:
    done, directory = train(digits, tmp_path, sources, ALL)
    assert done.code == 0, done.err
    before = {name: outcome.weights_fingerprint for name, outcome in read_outcomes(directory).items()}
    longer = cuelight("train", "--resume", directory, "trainer.epochs=6", *sources, folder=tmp_path)
    assert longer.code == 0, longer.err
    after = {name: outcome.weights_fingerprint for name, outcome in read_outcomes(directory).items()}
    assert list(after) == STEPS
    assert before.keys() == after.keys()
    assert_all_is_there(directory, sources)
    again = cuelight("train", "--resume", directory, *sources, folder=tmp_path)
    assert again.code == 0, again.err  # nothing is left to train
    assert {name: outcome.weights_fingerprint for name, outcome in read_outcomes(directory).items()} == after


def test_steps_change_no_training(digits, tmp_path, sources) -> None:
    _, with_steps = train(digits, tmp_path / "with", sources, ALL)
    _, without = train(digits, tmp_path / "without", sources, LATER)
    assert same_training(with_steps, without)


def test_changed_files_are_found(digits, tmp_path, sources) -> None:
    _, directory = train(digits, tmp_path, sources, ALL)
    file = directory / "export" / "tiny.onnx"
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    verified = cuelight("verify", directory, *sources, folder=tmp_path)
    assert verified.code == 1
    assert "the file was changed" in verified.out
    (directory / "checkpoints" / "best_accuracy.ckpt").write_bytes(
        (directory / "checkpoints" / "last.ckpt").read_bytes()
    )
    assert finish(directory, sources).code == 0
    assert_all_is_there(directory, sources)


def test_commands_in_place_of_steps_are_recorded_and_can_be_verified(digits, tmp_path, sources) -> None:
    _, directory = train(digits, tmp_path, sources, ALL)
    last_one = directory / "checkpoints" / "last.ckpt"
    for command in (
        ["test", last_one],
        ["test", directory],
        ["export", directory, "exporter.opset=15"],
        ["archive", directory],
    ):
        assert cuelight(*command, *sources, folder=tmp_path).code == 0
    outcomes = read_outcomes(directory)
    assert list(outcomes) == STEPS
    assert outcomes["TestOnTrainEnd"].checkpoint == "checkpoints/best_accuracy.ckpt"
    assert outcomes["ExportOnTrainEnd"].details["opset"] == 15
    assert_all_is_there(directory, sources)
    assert finish(directory, sources).code == 0  # as the configuration has it again
    best = fingerprint_of_file(directory / "checkpoints" / "best_accuracy.ckpt")
    assert {outcome.weights_fingerprint for outcome in read_outcomes(directory).values()} == {best}
    assert read_outcomes(directory)["ExportOnTrainEnd"].details["opset"] == 17
    assert_all_is_there(directory, sources)
