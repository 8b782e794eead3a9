"""What a checkpoint is measured with."""

import os

import pytest
import torch

from cuelight.config.schema import TrainerConfig
from cuelight.errors import ConfigError
from cuelight.evaluation.evaluator import evaluator
from cuelight.runs.trainer import build_trainer, evaluator_settings


def make_evaluator(config):
    with evaluator(evaluator_settings(config)):
        pass


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
    assert evaluator_settings(TrainerConfig(accelerator=accelerator, devices=devices)).devices == expected


@pytest.mark.parametrize("deterministic", [True, False])
@pytest.mark.parametrize("before", [True, False])
def test_evaluation_is_as_deterministic_as_the_training_and_leaves_no_trace(deterministic, before) -> None:
    torch.use_deterministic_algorithms(before)
    environment = dict(os.environ)
    try:
        with evaluator(evaluator_settings(TrainerConfig(accelerator="cpu", deterministic=deterministic))):
            assert torch.are_deterministic_algorithms_enabled() == deterministic
        assert torch.are_deterministic_algorithms_enabled() == before
        assert dict(os.environ) == environment
    finally:
        torch.use_deterministic_algorithms(False)


@pytest.mark.skipif(torch.cuda.is_available() or torch.backends.mps.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_said_in_a_line(tmp_path) -> None:
    config = TrainerConfig(accelerator="gpu", devices=[0])
    for build in (lambda: build_trainer(config, [], [], tmp_path), lambda: make_evaluator(config)):
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
