"""What a checkpoint is measured with, and where the results are kept."""

import json
from pathlib import Path

import pytest
import torch

from cuelight.config.schema import TrainerConfig
from cuelight.errors import ConfigError
from cuelight.evaluation import write_results
from cuelight.trainer import build_evaluator, build_trainer, evaluation_devices


def test_results_do_not_depend_on_the_working_directory(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    for directory, checkpoint, expected in [
        (Path("run"), tmp_path / "run" / "checkpoints" / "last.ckpt", "checkpoints/last.ckpt"),
        (tmp_path / "run", Path("run/checkpoints/last.ckpt"), "checkpoints/last.ckpt"),
        (Path("run"), Path("other.ckpt"), str(tmp_path / "other.ckpt")),
    ]:
        path = write_results(directory, "test", checkpoint, {"test/loss": 1.0})
        assert json.loads(path.read_text())["test"]["checkpoint"] == expected


@pytest.mark.parametrize(
    ("accelerator", "devices", "expected"),
    [
        ("gpu", [3], [3]),
        ("gpu", [0, 1], 1),
        ("gpu", 4, 1),
        ("gpu", "auto", 1),
        ("cpu", [3], 1),
    ],
)
def test_a_single_device_that_is_named_is_used(accelerator, devices, expected) -> None:
    assert evaluation_devices(TrainerConfig(accelerator=accelerator, devices=devices)) == expected


@pytest.mark.parametrize("deterministic", [True, False])
def test_evaluation_is_as_deterministic_as_the_training(deterministic) -> None:
    try:
        build_evaluator(TrainerConfig(accelerator="cpu", deterministic=deterministic), [], None)
        assert torch.are_deterministic_algorithms_enabled() == deterministic
    finally:
        torch.use_deterministic_algorithms(False)


@pytest.mark.skipif(torch.cuda.is_available() or torch.backends.mps.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_said_in_a_line(tmp_path) -> None:
    config = TrainerConfig(accelerator="gpu", devices=[0])
    for build in (lambda: build_trainer(config, [], [], tmp_path), lambda: build_evaluator(config, [], None)):
        with pytest.raises(ConfigError) as error:
            build()
        (problem,) = error.value.problems
        assert problem.path == "trainer"
        assert "No supported gpu backend found!" in problem.message
        assert "accelerator: auto" in problem.message
        assert "\n" not in problem.message


def test_an_unknown_strategy_is_an_error_of_the_configuration(tmp_path) -> None:
    with pytest.raises(ConfigError, match="strategy='dpp'"):
        build_trainer(TrainerConfig(accelerator="cpu", devices=1, strategy="dpp"), [], [], tmp_path)
