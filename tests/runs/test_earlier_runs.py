"""What an earlier version wrote is still read: run folders, checkpoints, ONNX files and archives."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from cuelight.cli import main

EARLIER = Path(__file__).parent / "fixtures" / "earlier"
MAIN_METRICS = {"digits": "test/accuracy", "scenes": "test/mean_iou"}


@pytest.fixture(params=sorted(MAIN_METRICS))
def run(request, tmp_path):
    """A copy of the folder of an earlier run."""
    return Path(shutil.copytree(EARLIER / request.param, tmp_path / request.param))


@pytest.fixture
def images(tmp_path):
    from PIL import Image

    folder = tmp_path / "images"
    folder.mkdir()
    for seed in range(2):
        pixels = np.random.default_rng(seed).integers(0, 255, (32, 32, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{seed}.png")
    return folder


def test_its_files_fit_each_other(run) -> None:
    assert main(["verify", str(run)]) == 0


def test_it_is_measured_as_it_was(run) -> None:
    metric = MAIN_METRICS[run.name]
    results = run / "test" / "results.json"
    before = json.loads(results.read_text())["test"]["metrics"][metric]
    results.unlink()
    assert main(["test", str(run)]) == 0
    assert json.loads(results.read_text())["test"]["metrics"][metric] == pytest.approx(before, abs=0.01)


@pytest.mark.parametrize("file", ["export/{}.onnx", "archive/{}.tar", ""], ids=["onnx", "archive", "checkpoint"])
def test_its_models_predict_the_same(run, images, tmp_path, file) -> None:
    model = run / file.format(run.name)
    expected = predictions(run / "export" / f"{run.name}.onnx", images, tmp_path / "expected")
    assert predictions(model, images, tmp_path / "got") == expected


def predictions(model, images, output):
    assert main(["predict", str(model), str(images), "--output", str(output)]) == 0
    return [
        {name: pytest.approx(value, abs=1e-3) if isinstance(value, float) else value for name, value in entry.items()}
        for entry in map(flat, json.loads((output / "predictions.json").read_text()))
    ]


def flat(value, name=""):
    """The leaves of nested JSON by their paths."""
    if isinstance(value, (dict, list)):
        entries = value.items() if isinstance(value, dict) else enumerate(value)
        return {key: leaf for part, inner in entries for key, leaf in flat(inner, f"{name}.{part}").items()}
    return {name: value}


def test_it_is_exported_again_from_the_same_weights(run) -> None:
    def fingerprint():
        outcomes = json.loads((run / "outcomes.json").read_text())["steps"]
        return [step["weights_fingerprint"] for step in outcomes]

    before = fingerprint()
    assert main(["export", str(run)]) == 0
    assert fingerprint() == before


def test_its_training_goes_on(tmp_path) -> None:
    run = shutil.copytree(EARLIER / "digits", tmp_path / "digits")
    assert main(["train", "--resume", str(run), "trainer.epochs=3"]) == 0
    training = json.loads((run / "training.json").read_text())
    assert (training["status"], training["epochs"], training["steps"]) == ("complete", 3, 84)
