"""Runs with class weights, weighted sampling, MixUp and CutMix: what they keep, and what is refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from PIL import Image

from cuelight.data.datasets.digits import load_digits
from cuelight.data.spec import saved_spec
from cuelight.errors import ConfigError
from cuelight.runs.run import Run
from cuelight.weights.reading import load_checkpoint
from support.experiments import same_training

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")

# The digit of each class, and the number of its training images.
CLASSES = {"five": (5, 60), "three": (3, 6)}


@pytest.fixture(scope="module")
def digits(tmp_path_factory: Any) -> Path:
    """Images in folders, ten times as many of one class for training as of the other."""
    folder: Path = tmp_path_factory.mktemp("digits")
    images, labels = load_digits()
    for name, (digit, count) in CLASSES.items():
        chosen = images[labels == digit, 0]
        for split, part in (("train", chosen[:count]), ("val", chosen[100:140]), ("test", chosen[200:240])):
            (folder / split / name).mkdir(parents=True)
            for number, image in enumerate(part):
                Image.fromarray(image).save(folder / split / name / f"{number:03}.png")
    return folder


def _config(path: Path, model: Any = None, data: Any = None, **trainer: Any) -> dict[str, Any]:
    return {
        "name": "rare",
        "model": {"name": "ClassificationModel", "params": {"backbone": "test_resnet"} | (model or {})},
        "data": {"name": "ImageFolder", "params": {"path": str(path), "size": 28, "color": "GRAY"} | (data or {})},
        "trainer": {
            "epochs": 3,
            "batch_size": 11,
            "num_workers": 0,
            "accelerator": "cpu",
            "devices": 1,
            "seed": 1,
            "log_every_n_steps": 1,
            "optimizer": {"name": "AdamW", "params": {"lr": 0.005}},
        }
        | trainer,
    }


@pytest.fixture(scope="module")
def weighted(digits: Path, tmp_path_factory: Any) -> Run:
    run = Run.from_yaml(_config(digits, {"class_weights": "balanced"}))
    run.train(tmp_path_factory.mktemp("weighted"))
    return run


def test_checkpoints_have_the_counts_so_that_a_test_needs_no_training_images(weighted: Run, digits: Path) -> None:
    assert weighted.directory
    content = load_checkpoint(weighted.directory / "checkpoints" / "last.ckpt")
    spec = saved_spec(content)
    assert spec is not None
    assert spec.class_counts == (60, 6)
    before = json.loads((weighted.directory / "test" / "results.json").read_text())["test"]["metrics"]["test/loss"]
    hidden = digits.with_name("hidden")
    (digits / "train").rename(hidden)
    try:
        for name in CLASSES:
            shutil.copytree(digits / "test" / name, digits / "train" / name)
        assert Run.load(weighted.directory).test().metrics["test/loss"] == before
    finally:
        shutil.rmtree(digits / "train")
        hidden.rename(digits / "train")


def test_a_resume_keeps_the_weights_it_began_with(digits: Path, tmp_path: Path) -> None:
    copied = tmp_path / "digits"
    shutil.copytree(digits, copied)
    run = Run.from_yaml(_config(copied, {"class_weights": "balanced"}, epochs=1))
    run.train(tmp_path / "runs")
    assert run.directory
    shutil.copy(copied / "val" / "three" / "000.png", copied / "train" / "three" / "more.png")
    Run.load(run.directory, ["trainer.epochs=2"]).resume()
    spec = saved_spec(load_checkpoint(run.directory / "checkpoints" / "last.ckpt"))
    assert spec is not None
    assert spec.class_counts == (60, 6)


def test_a_run_on_digits_with_all_of_it(tmp_path: Path) -> None:
    weights = {str(digit): 2.0 if digit == 3 else 1.0 for digit in range(10)}
    config = _config(
        tmp_path,
        {"class_weights": weights, "label_smoothing": 0.1},
        {"sampling": weights, "mixup_alpha": 0.2, "cutmix_alpha": 1.0, "mix_prob": 0.5, "close_mix": 1},
        epochs=2,
        batch_size=100,
        callbacks=[
            {"name": "GradCamCallback", "params": {"target_layer": "auto", "class_idx": "label"}},
            {"name": "TestOnTrainEnd"},
            {"name": "ExportOnTrainEnd"},
        ],
    )
    config["data"]["name"] = "Digits"
    del config["data"]["params"]["path"], config["data"]["params"]["color"]
    result = Run.from_yaml(config).train(tmp_path)

    assert not result.failed
    assert result.metrics["test/accuracy"] > 0.5
    written = yaml.safe_load((result.directory / "config.yaml").read_text())
    assert written["model"]["params"]["class_weights"] == weights
    assert (result.directory / "test" / "predictions.png").exists()


def test_a_training_stopped_in_the_middle_of_an_epoch_ends_alike(digits: Path, tmp_path: Path) -> None:
    data = {"sampling": "balanced", "mixup_alpha": 0.4, "cutmix_alpha": 1.0}
    config = _config(digits, {"class_weights": "balanced"}, data, callbacks=[{"name": "TestOnTrainEnd"}])
    whole = Run.from_yaml(config).train(tmp_path / "whole").directory
    stopped = Run.from_yaml(config, ["trainer.max_steps=8"]).train(tmp_path / "stopped").directory
    Run.load(stopped, ["trainer.max_steps=null"]).resume()
    assert same_training(whole, stopped)


@pytest.mark.parametrize(
    ("changes", "place", "message"),
    [
        ("model.params.class_weights={five: 1.0, tree: 2.0}", "class_weights.tree", 'Did you mean "three"?'),
        ("model.params.class_weights={five: 1.0}", "class_weights", "there is none for three."),
        (
            "model.params.class_weights={five: 1.0, three: 0}",
            "class_weights.three",
            "1e+12), got 0",
        ),
        ("model.params.class_weights={five: 1.0, three: .nan}", "class_weights", "Each number must be finite."),
        ("model.params.class_weights={five: one, three: 1}", "class_weights", "a mapping from texts to numbers"),
        ("model.params.class_weights=balance", "class_weights", 'Did you mean "balanced"?'),
        ("model.params.class_weights=3", "class_weights", "expected"),
        ("data.params.sampling={five: 1.0, tree: 2.0}", "sampling.tree", 'Did you mean "three"?'),
        (
            "data.params.sampling={five: 1.0, three: -1}",
            "sampling.three",
            "1e+12), got -1",
        ),
        ("data.params.sampling=true", "sampling", "expected"),
        ("data.params.mixup_alpha=-1", "mixup_alpha", "a number of at least 0"),
        ("data.params.cutmix_alpha=.inf", "cutmix_alpha", "finite"),
        ("data.params.mix_prob=1.5", "mix_prob", "at most 1"),
        ("data.params.close_mix=0.5", "close_mix", "a whole number of at least 0"),
        ("data.params.mixup=0.2", "mixup", 'Did you mean "mixup_alpha"?'),
    ],
)
def test_wrong_settings_are_found_before_the_training(
    digits: Path, tmp_path: Path, changes: str, place: str, message: str
) -> None:
    file = tmp_path / "rare.yaml"
    file.write_text(yaml.safe_dump(_config(digits)))
    with pytest.raises(ConfigError) as planned:
        Run.from_yaml(file, [changes]).plan()
    with pytest.raises(ConfigError) as trained:
        Run.from_yaml(file, [changes]).train(tmp_path / "runs")
    for caught in (planned, trained):
        [problem] = caught.value.problems
        assert problem.path.endswith(f".params.{place}")
        assert message in problem.message
    assert not (tmp_path / "runs").exists()
