"""A run that is opened by a checkpoint uses this one, and a run that is moved is still whole."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image

from cuelight.prediction.onnx_model import OnnxModel
from cuelight.runs.run import Run
from cuelight.weights.fingerprint import fingerprint_of_file
from cuelight.weights.resuming import step_of
from support.experiments import experiment, metric_rows, own_parts


@pytest.fixture(autouse=True)
def _parts():
    own_parts()


@pytest.fixture(scope="module")
def of_two_epochs(digits, tmp_path_factory):
    """A run, and a checkpoint of it that is not its best one."""
    own_parts()
    every = {"name": "ModelCheckpoint", "params": {"filename": "{epoch}", "monitor": "val/loss", "save_top_k": -1}}
    steps = [{"name": "TestOnTrainEnd"}, {"name": "ExportOnTrainEnd"}, {"name": "ArchiveOnTrainEnd"}]
    run = Run.from_yaml(experiment(digits, epochs=2, scheduler=None, callbacks=[every, *steps]))
    run.train(tmp_path_factory.mktemp("runs"))
    folder = run.directory / "checkpoints"
    best = fingerprint_of_file(run.best().path)
    return run, next(file for file in sorted(folder.glob("epoch*.ckpt")) if fingerprint_of_file(file) != best)


@pytest.mark.parametrize("outside", [False, True])
def test_a_checkpoint_that_was_loaded_is_the_one_that_is_used(of_two_epochs, tmp_path, monkeypatch, outside) -> None:
    run, named = of_two_epochs
    moved = shutil.copytree(run.directory, tmp_path / "moved") / named.relative_to(run.directory)
    monkeypatch.chdir(tmp_path)
    path = shutil.copy(moved, tmp_path / "named.ckpt") if outside else moved
    loaded, expected = Run.load(path), fingerprint_of_file(named)
    assert loaded.test().checkpoint == path
    assert loaded.network().metadata.fingerprint == expected
    for file in (loaded.export(), loaded.archive(), loaded.export(prefer="loss", output="by_loss.onnx")):
        assert OnnxModel.open(file).metadata.fingerprint == expected
    Image.fromarray(np.full((28, 28), 99, np.uint8)).save(tmp_path / "grey.png")
    scores = [next(one.explain(["grey.png"])).explained.score for one in (loaded, Run.load(run.directory))]
    assert scores[0] != scores[1]


def test_a_checkpoint_that_was_loaded_is_where_a_resume_begins(of_two_epochs, tmp_path) -> None:
    moved = shutil.copytree(of_two_epochs[0].directory, tmp_path / "moved")
    first = min((moved / "checkpoints").glob("epoch*.ckpt"))
    assert step_of(first) == 5
    run = Run.load(first)
    run.resume()
    steps = [int(row["step"]) for row in metric_rows(moved) if row["train/loss"] or row["test/loss"]]
    assert steps == [0, 1, 2, 3, 4, 10, 5, 6, 7, 8, 9, 10]
    assert run.test().checkpoint == run.best().path


@pytest.mark.parametrize("way", ["dots", "link"])
def test_a_run_is_verified_after_it_was_moved(digits, tmp_path, monkeypatch, way) -> None:
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    (tmp_path / "link").symlink_to(tmp_path / "linked", target_is_directory=True)
    (tmp_path / "linked").mkdir()
    run = Run.from_yaml(experiment(digits, epochs=1, callbacks=[{"name": "TestOnTrainEnd"}]))
    run.train({"dots": "../runs", "link": "../link"}[way])
    moved = tmp_path / "moved"
    run.directory.rename(moved)
    Run.load(moved).export(output="../moved/export/again.onnx")
    checks = Run.load(moved).verify()
    assert {"test/results.json", "export/again.onnx"} <= {check.subject for check in checks}
    assert [check for check in checks if not check.ok] == []
    record = json.loads((moved / "training.json").read_text())
    assert all((moved / best["path"]).is_file() and best["path"].startswith("checkpoints/") for best in record["best"])
