"""Values of environment variables reach neither the screen nor a file, whatever fails, also in later commands."""

import json

import pytest
from PIL import Image

from support.experiments import OWN_PARTS, experiment, only_run, write_yaml
from support.processes import cuelight

SECRET = "hunter2"
TELLING_PARTS = '''
import logging
import sys
import warnings

import lightning.pytorch as pl

from cuelight import registry
from cuelight.callbacks.base.train_end_step import TrainEndStep


@registry.callbacks.register
class Tells(pl.Callback):
    """Shows and keeps what it was given.

    Args:
        token: What to show.
        fails: Whether to fail.
    """

    def __init__(self, token: str, fails: bool = False) -> None:
        self.token, self.fails = token, fails

    def state_dict(self):
        return {self.token: [self.token]}

    def load_state_dict(self, state_dict):
        assert state_dict == self.state_dict()

    def on_train_start(self, trainer, pl_module):
        print("printed", self.token)
        print("printed", self.token, file=sys.stderr)
        logging.getLogger("other").warning("logged %s", self.token)
        warnings.warn(f"warned of {self.token}", stacklevel=1)
        if self.fails:
            raise ValueError(f"cannot log in with {self.token}")


@registry.callbacks.register
class FailsLater(TrainEndStep):
    """Fails after the training.

    Args:
        token: What its message shows.
    """

    def __init__(self, token: str) -> None:
        self.token = token

    def work(self, training, report, console):
        raise RuntimeError(f"no {self.token}")

    def is_done(self, training, outcome):
        return False
'''


@pytest.fixture
def variables(tmp_path):
    """The environment, with a folder of images of 28 x 28 pixels."""
    photos = tmp_path / f"{SECRET}-photos"
    paths = [f"{split}/{label}/{index}.png" for split in ("train", "val", "test") for label in "ab" for index in "0123"]
    for number, path in enumerate(paths):
        (photos / path).parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (28, 28), number).save(photos / path)
    return {"PHOTOS": str(photos), "TOKEN": f"{SECRET}-token", "KEPT": str(tmp_path / f"{SECRET}-kept"), "RUN": "test"}


@pytest.fixture
def train(tmp_path, variables):
    (tmp_path / "telling_parts.py").write_text(TELLING_PARTS)
    sources = ("--source", OWN_PARTS, "--source", tmp_path / "telling_parts.py")

    def train(callbacks):
        tree = experiment("", epochs=1, scheduler=None, num_workers=0, callbacks=callbacks)
        tree["data"] = {"name": "ImageFolder", "params": {"path": "${env:PHOTOS}", "size": 28, "color": "GRAY"}}
        tree |= {"name": "${env:RUN}", "exporter": {"opset": "${env:OPSET:-17}"}}
        file = write_yaml(tmp_path / "tiny.yaml", tree)
        done = cuelight("train", file, *sources, folder=tmp_path, environment=variables)
        assert (tmp_path / "runs").exists(), done.err
        return done, only_run(tmp_path / "runs"), sources

    return train


def assert_hidden(directory, *commands):
    for command in commands:
        assert SECRET not in command.out + command.err
    for file in directory.rglob("*"):
        assert not file.is_file() or SECRET.encode() not in file.read_bytes(), file


def test_image_that_cannot_be_read(tmp_path, variables, train) -> None:
    (tmp_path / f"{SECRET}-photos" / "train" / "a" / "3.png").write_bytes(b"no image")
    done, directory, _ = train([])
    reported = cuelight("report", directory, folder=tmp_path)
    assert (done.code, reported.code) == (1, 0)
    reason = "${env:PHOTOS}/train/a/3.png: the image cannot be read"
    assert f"error: {reason}" in done.err
    assert reason in json.loads((directory / "training.json").read_text())["reason"]
    assert reason in (directory / "report.html").read_text()
    assert_hidden(directory, done, reported)


def test_callback_that_fails(train) -> None:
    done, directory, _ = train([{"name": "Tells", "params": {"token": "${env:TOKEN}", "fails": True}}])
    assert done.code == 1
    assert done.out.count("printed ${env:TOKEN}") == 1
    for shown in ("printed", "logged", "warned of", "Traceback", "ValueError: cannot log in with"):
        assert shown in done.err
    assert "cannot log in with ${env:TOKEN}" in json.loads((directory / "training.json").read_text())["reason"]
    assert_hidden(directory, done)


def test_run_and_all_commands_on_it(tmp_path, variables, train) -> None:
    callbacks = [
        {"name": "Tells", "params": {"token": "${env:TOKEN}"}},
        {"name": "ModelCheckpoint", "params": {"dirpath": "${env:KEPT}", "monitor": "val/loss"}},
        {"name": "MetadataLogger", "params": {"hyperparams": ["data", "trainer.callbacks"]}},
        {"name": "TestOnTrainEnd"},
        {"name": "ExportOnTrainEnd"},
        {"name": "FailsLater", "params": {"token": "${env:TOKEN}"}},
    ]
    done, directory, sources = train(callbacks)
    assert done.code == 1
    assert "error: The training is complete and saved, but 1 post-training step failed" in done.err
    assert (directory / "export" / "test.onnx").is_file()
    assert "test/accuracy" in done.out
    earlier = directory / "outcomes.json"  # as a version that did not hide values wrote it
    earlier.write_text(earlier.read_text().replace("no ${env:TOKEN}", f"no {variables['TOKEN']}"))
    commands = []
    for expected, name, *arguments in (
        (0, "report"), (1, "finish", *sources), (0, "test", *sources), (0, "verify", *sources), (0, "upload", *sources),
        (1, "train", "trainer.epochs=2", *sources),
    ):  # fmt: skip
        run = ["--resume", directory] if name == "train" else [directory]
        commands.append(cuelight(name, *run, *arguments, folder=tmp_path, environment=variables))
        assert commands[-1].code == expected, commands[-1].err
        if name == "report":
            assert "no ${env:TOKEN}" in (directory / "report.html").read_text()
            assert SECRET not in (directory / "report.html").read_text()
    reported = cuelight("report", directory, folder=tmp_path)
    refused = cuelight("finish", directory, *sources, folder=tmp_path)
    assert (reported.code, refused.code) == (0, 2)
    assert "the environment variable TOKEN is not set" in refused.err
    assert_hidden(directory, done, *commands, reported, refused)
