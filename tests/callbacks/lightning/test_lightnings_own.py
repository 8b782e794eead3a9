import inspect
from datetime import timedelta

import pytest
import torch
from lightning.pytorch import callbacks
from lightning.pytorch.demos.boring_classes import BoringModel

from cuelight import callbacks as cuelight_callbacks
from cuelight import registry
from cuelight.config import Config
from cuelight.errors import ConfigError
from cuelight.registry.builtins import CALLBACKS
from support.trainers import fit

LIGHTNINGS = [
    name for name, place in CALLBACKS.items() if place.startswith("cuelight.callbacks.lightning.")
]  # fmt: skip
YAML_ALONE = {
    "ModelPruning": {"pruning_fn", "parameters_to_prune", "amount", "apply_pruning", "use_lottery_ticket_hypothesis"},
    "StochasticWeightAveraging": {"avg_fn", "device"},
    "RichModelSummary": {"summarize_kwargs", "header_style"},
    "Timer": {"interval"},
}


def build(name, **parameters):
    return registry.callbacks.build({"name": name, "params": parameters})


def train(callback, epochs=3, resume=None, **settings):
    limits = {"limit_train_batches": 4, "limit_val_batches": 1} | settings
    trainer, _ = fit(None, [callback], BoringModel, None, resume, max_epochs=epochs, **limits)
    return trainer


@pytest.mark.parametrize("name", LIGHTNINGS)
def test_is_lightnings_with_its_names_and_defaults(name):
    ours, theirs = getattr(cuelight_callbacks, name), getattr(callbacks, name)
    assert issubclass(ours, theirs)
    assert ours.__qualname__ == theirs.__qualname__  # the key of its state in a checkpoint
    changed = YAML_ALONE.get(name, set())
    parameters = [
        {key: item.default for key, item in inspect.signature(cls).parameters.items() if key not in changed}
        for cls in (ours, theirs)
    ]
    assert parameters[0] == parameters[1]
    assert list(parameters[0]) == list(parameters[1])


def test_defaults_that_only_look_different():
    assert build("Timer", interval="epoch")._interval == "epoch"
    assert build("StochasticWeightAveraging", swa_lrs=0.1)._avg_fn is callbacks.StochasticWeightAveraging.avg_fn
    assert torch.device(
        inspect.signature(cuelight_callbacks.StochasticWeightAveraging).parameters["device"].default
    ) == (inspect.signature(callbacks.StochasticWeightAveraging).parameters["device"].default)


@pytest.mark.parametrize(
    ("duration", "seconds"),
    [
        ("00:01:30:00", 5400),
        ("90m", 5400),
        ("1h30m", 5400),
        ({"hours": 1, "minutes": 30}, 5400),
        ({"hours": 1.5}, 5400),
    ],
)
def test_durations_in_each_notation(duration, seconds):
    assert build("Timer", duration=duration).time_remaining() == seconds
    checkpoint = build("ModelCheckpoint", train_time_interval=duration)
    assert checkpoint._train_time_interval == timedelta(seconds=seconds)


def test_durations_from_python():
    assert cuelight_callbacks.Timer(timedelta(minutes=90)).time_remaining() == 5400
    assert cuelight_callbacks.Timer().time_remaining() is None


def test_a_timer_without_a_limit_is_no_second_one():
    parts = {"model": {"name": "any"}, "data": {"name": "any"}}
    config = Config.model_validate({**parts, "trainer": {"max_time": "1h"}})
    assert not list(cuelight_callbacks.Timer().check(config, []))
    assert len(list(cuelight_callbacks.Timer("2h").check(config, []))) == 1


@pytest.mark.parametrize("name", ["Timer", "ModelCheckpoint"])
def test_wrong_durations_are_refused(name):
    parameter = "duration" if name == "Timer" else "train_time_interval"
    with pytest.raises(ConfigError, match='expected a duration such as "90m"'):
        build(name, **{parameter: "90 minits"})


def test_timer_counts_the_time_before_a_resume(tmp_path):
    before = build("Timer")
    trainer = train(before)
    trainer.save_checkpoint(tmp_path / "a.ckpt")
    assert before.time_elapsed() > 0
    after = build("Timer")
    train(after, resume=tmp_path / "a.ckpt")
    assert after.time_elapsed() >= before.time_elapsed()


def test_timer_stops():
    assert train(build("Timer", duration={"seconds": 0.001}), epochs=100_000).current_epoch < 100_000


@pytest.mark.parametrize("scheduling", [{0: 1, 2: 4}, {"0": 1, "2": 4}, {2: 4}])
def test_accumulation_changes_with_the_epoch(scheduling):
    given = dict(scheduling)
    for callback in (build("GradientAccumulationScheduler", scheduling=scheduling),
                     cuelight_callbacks.GradientAccumulationScheduler(scheduling)):  # fmt: skip
        assert callback.scheduling == {0: 1, 2: 4}
        assert train(callback).global_step == 4 + 4 + 1
    assert scheduling == given


@pytest.mark.parametrize("scheduling", [{}, {0: 0}, {-1: 2}, {"first": 2}, {0: 2.5}, {0: True}, {0: "2"}])
def test_impossible_accumulation_is_refused(scheduling):
    with pytest.raises(ValueError, match="expected a mapping of whole numbers"):
        cuelight_callbacks.GradientAccumulationScheduler(scheduling)
    with pytest.raises(ConfigError):
        build("GradientAccumulationScheduler", scheduling=scheduling)


@pytest.mark.parametrize(
    ("name", "parameters", "message"),
    [
        ("EarlyStopping", {"monitor": "val/loss", "mode": "minimum"}, '"min" or "max"'),
        ("EarlyStopping", {}, 'needs the parameter "monitor"'),
        ("EarlyStopping", {"monitor": "val/loss", "patience": True}, "whole number"),
        ("ModelCheckpoint", {"save_last": "yes"}, "true or false"),
        ("StochasticWeightAveraging", {"swa_lrs": 0.1, "avg_fn": "mean"}, '"average" or "ema"'),
        ("ModelPruning", {"pruning_fn": "l1_unstructred"}, "l1_unstructured"),
        ("ModelPruning", {"pruning_fn": "l1_unstructured", "amount": "half"}, "a number"),
        ("RichModelSummary", {"max_deph": 2}, "max_depth"),
        ("LearningRateMonitor", {"logging_interval": "batch"}, '"step"'),
    ],
)
def test_wrong_parameters_are_found_before_anything_is_made(name, parameters, message):
    (problem,) = registry.callbacks.problems({"name": name, "params": parameters}, "trainer.callbacks.0")
    assert message in problem.message


def test_numbers_keep_their_type():
    assert build("StochasticWeightAveraging", swa_lrs=1, swa_epoch_start=1)._swa_epoch_start == 1
    assert type(build("StochasticWeightAveraging", swa_lrs=0.1, swa_epoch_start=1)._swa_epoch_start) is int
    assert type(build("StochasticWeightAveraging", swa_lrs=0.1, swa_epoch_start=1.0)._swa_epoch_start) is float
    assert type(build("ModelPruning", pruning_fn="l1_unstructured", amount=1).amount) is int
    assert type(build("ModelPruning", pruning_fn="l1_unstructured", amount=1.0).amount) is float


def test_summary_shows_the_layers(capsys):
    train(build("RichModelSummary", max_depth=2), epochs=1)
    assert capsys.readouterr() == ("", "")  # as with --quiet
    train(build("RichModelSummary", max_depth=2), epochs=1, enable_progress_bar=True)
    shown = capsys.readouterr()
    assert "Linear" not in shown.out
    assert any("layer" in line and "Linear" in line and "66" in line for line in shown.err.splitlines())
