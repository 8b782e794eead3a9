"""A place that cannot be written: a clear error and exit code 1, never a traceback."""

import pytest
from PIL import Image

from support.experiments import OWN_PARTS, experiment, only_run, write_yaml
from support.processes import cuelight

SOURCE = ("--source", OWN_PARTS)
STEPS = [{"name": name} for name in ("TestOnTrainEnd", "ExportOnTrainEnd", "ArchiveOnTrainEnd")]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A trained classifier of digits whose steps after the training have not run."""
    folder = tmp_path_factory.mktemp("unwritable")
    tree = experiment("", epochs=1, max_steps=2, scheduler=None, num_workers=0)
    tree["trainer"]["callbacks"] = [step | {"active": False} for step in STEPS]
    tree |= {"model": {"name": "ClassificationModel", "params": {"backbone": "resnet10t"}}, "data": {"name": "Digits"}}
    done = cuelight("train", write_yaml(folder / "tiny.yaml", tree), *SOURCE, folder=folder)
    assert done.code == 0, done.err
    Image.new("L", (28, 28)).save(folder / "image.png")
    return only_run(folder / "runs")


@pytest.mark.parametrize(
    ("command", "folder"),
    [
        (("test",), "test"),
        (("export",), "export"),
        (("archive",), "archive"),
        (("explain", "image.png"), "explain"),
        (("predict", "image.png"), "predictions"),
        (("finish", "trainer.callbacks.0.active=true"), "test"),
        (("finish", "trainer.callbacks.1.active=true"), "export"),
        (("finish", "trainer.callbacks.2.active=true"), "archive"),
    ],
)
def test_file_in_the_place_of_a_folder(run, command, folder) -> None:
    name, *arguments = command
    (run / folder).touch()
    try:
        done = cuelight(name, run, *arguments, *SOURCE, folder=run.parents[2])
    finally:
        (run / folder).unlink()
    assert done.code == 1, done.err
    assert "Traceback" not in done.err
    assert f"{run / folder} is a file, and a folder is needed" in done.err


@pytest.mark.parametrize("command", ["report", "predict", "explain", "export", "archive"])
def test_output_below_a_file(run, command) -> None:
    images = ["image.png"] if command in ("predict", "explain") else []
    source = () if command == "report" else SOURCE
    output = ("--output", run / "config.yaml" / "out")
    done = cuelight(command, run, *images, *output, *source, folder=run.parents[2])
    assert done.code == 1, done.err
    assert "Traceback" not in done.err
    assert f"{run / 'config.yaml'} is a file, and a folder is needed" in done.err


@pytest.mark.parametrize("command", ["test", "export", "finish"])
def test_outcome_that_cannot_be_recorded_is_a_failure(run, command) -> None:
    (run / "outcomes.json").unlink(missing_ok=True)
    (run / "outcomes.json").mkdir()
    active = ["trainer.callbacks.0.active=true"] if command == "finish" else []
    try:
        done = cuelight(command, run, *active, *SOURCE, folder=run.parents[2])
    finally:
        (run / "outcomes.json").rmdir()
    assert done.code == 1, done.err
    assert "Traceback" not in done.err
    assert f"{run / 'outcomes.json'}: this file cannot be read: Is a directory" in done.err


def test_upload_that_cannot_be_queued(run) -> None:
    (run / "spool").touch()
    database = f"tracker.mlflow.tracking_uri=sqlite:///{run.parents[2] / 'mlflow.db'}"
    try:
        done = cuelight("upload", run, database, *SOURCE, folder=run.parents[2])
    finally:
        (run / "spool").unlink()
    assert done.code == 1
    assert "Traceback" not in done.err
    assert f"Not a directory: '{run / 'spool'}" in done.err
