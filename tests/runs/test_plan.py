"""The order of the callbacks is that of the file, for every hook, and the plan says what really runs."""

import contextlib
import logging
from itertools import groupby

import lightning.pytorch as pl
import pytest
from lightning.pytorch.callbacks import ModelCheckpoint

from cuelight.callbacks.added.progress import ProgressDisplay
from cuelight.callbacks.test_on_train_end import TestOnTrainEnd
from cuelight.data.spec import data_spec_of
from cuelight.errors import ConfigError
from cuelight.runs.build import build_data, build_model, model_class
from cuelight.runs.plan import HOOKS, hook_order, place_model_callbacks
from cuelight.runs.run import Run
from cuelight.runs.trainer import build_trainer, take_model_callbacks
from cuelight.tracking.loggers.build import build_loggers
from cuelight.train_end.finished_training import StepSkipped
from cuelight.weights.best import main_metric, main_metric_mode
from support.experiments import experiment, own_parts

FILE = [
    {"name": "First"},
    {"name": "Keeper", "params": {"monitor": "val/loss"}},
    {"name": "Second"},
    {"name": "Tuner"},
    {"name": "Stopper", "params": {"monitor": "val/loss"}},
    {"name": "Third"},
]
NAMES = [entry["name"] for entry in FILE]
MONITORING = {"Keeper", "Stopper"}
MODEL = "TinyNet (the model)"
# Hooks of a prediction, which nothing runs yet.
NEVER_RUN = {hook for hook in HOOKS if "predict" in hook}


class Crash(Exception):
    """Ends a fit."""


@pytest.fixture
def parts():
    loaded = own_parts()
    loaded.RECORD.clear()
    return loaded


def run_of(digits, callbacks=FILE, model=None, **trainer):
    tree = experiment(digits, callbacks=list(callbacks), **({"epochs": 2, "scheduler": None} | trainer))
    tree["model"]["params"] = model or {}
    return Run.from_yaml(tree)


def passes(record, hook):
    """Who ran each time that a hook was called."""
    names = [name for called, name in record if called == hook]
    turns = []
    for name in names:
        if not turns or name in turns[-1]:
            turns.append([])
        turns[-1].append(name)
    return turns


def test_hooks_are_all_that_a_callback_has(parts) -> None:
    every = {name for name in vars(pl.Callback) if name.startswith("on_")} | {"setup", "teardown"}
    assert set(HOOKS) == every
    assert len(HOOKS) == len(every)


def test_order_of_the_file_holds_for_every_hook_of_a_run(digits, tmp_path, parts) -> None:
    run_of(digits, model={"brings": ["Brought", "AlsoBrought"]}).train(tmp_path)
    everyone = [*NAMES, "Brought", "AlsoBrought"]
    hooks_seen = {hook for hook, _ in parts.RECORD}
    not_in_a_fit = {hook for hook in HOOKS if "test" in hook} | NEVER_RUN | {"on_exception", "on_load_checkpoint"}
    assert hooks_seen == set(HOOKS) - not_in_a_fit
    for hook in hooks_seen:
        expected = everyone
        if hook == "on_train_epoch_end":
            expected = [*(name for name in everyone if name not in MONITORING), "Keeper", "Stopper"]
        for turn in passes(parts.RECORD, hook):
            assert turn == expected, hook


def observed(run, directory, parts):
    """Fit, resume, crash, validate and test with every callback and the module recording; the planned order too."""
    model_type = model_class(run.config)
    planned, ran = [], []
    for action in ("fit", "resume", "crash", "validate", "test"):
        data = build_data(run.config)
        module = build_model(run.config, data_spec_of(data))
        placed = place_model_callbacks(Run(run.config, display=ProgressDisplay()).plan(), take_model_callbacks(module))
        callbacks = [entry.callback for entry in placed]
        planned.append(hook_order(callbacks, model_type))
        for callback in callbacks:
            if type(callback).__name__ not in NAMES:  # the others record already
                callback.__class__ = parts.recording(type(callback), type(callback).__name__)
        module.__class__ = parts.recording(type(module), MODEL)
        trainer = build_trainer(run.config.trainer, callbacks, build_loggers(run.config, directory), directory)
        parts.RECORD.clear()
        if action == "crash":
            module.training_step = crash
        if action in ("validate", "test"):
            getattr(trainer, action)(module, datamodule=data, verbose=False)
        else:
            last = directory / "checkpoints" / "last.ckpt" if action == "resume" else None
            if last:
                trainer.fit_loop.max_epochs = 3
            with contextlib.suppress(Crash):
                trainer.fit(module, datamodule=data, ckpt_path=last, weights_only=True)
        ran.append(list(parts.RECORD))
    return planned, ran


def crash(*_):
    raise Crash


def skip(*_):
    raise StepSkipped("not here.")


def full_model(parts):
    hooks = [hook for hook in HOOKS if hasattr(pl.LightningModule, hook)]
    does_nothing = {hook: (lambda self, *arguments, **options: None) for hook in hooks}
    return type("TinyNet", (parts.TinyNet,), does_nothing)


@pytest.mark.parametrize("with_all_hooks", [False, True])
def test_plan_is_what_runs(digits, tmp_path, parts, with_all_hooks, monkeypatch) -> None:
    run = run_of(digits)
    monkeypatch.setattr(TestOnTrainEnd, "work", skip)  # the copy that it measures would record as well
    if with_all_hooks:
        monkeypatch.setitem(registered_models(), "TinyNet", full_model(parts))
    planned, ran = observed(run, tmp_path, parts)
    for hooks in planned:
        assert hooks.keys() <= set(HOOKS)
    seen = set()
    for order, record in zip(planned, ran, strict=True):
        for hook, names in groupby(sorted(record, key=lambda entry: entry[0]), key=lambda entry: entry[0]):
            seen.add(hook)
            implementing = order.get(hook, [])
            turns = passes([(hook, name) for _, name in names if name in implementing], hook)
            for turn in turns:
                assert turn == implementing, hook
    assert seen == set(HOOKS) - NEVER_RUN


def registered_models():
    from cuelight import registry

    return registry.models._own


def added(run):
    return [(entry.name, entry.origin) for entry in run.plan() if entry.origin.startswith("added")]


def test_best_and_last_checkpoints_are_added_at_the_end(digits, parts) -> None:
    plan = run_of(digits, callbacks=[{"name": "First"}]).plan()
    assert [entry.name for entry in plan] == [
        "SeedEachBatch", "WatchLoss", "First", "ModelCheckpoint", "ModelCheckpoint", "TestOnTrainEnd", "LastCheckpoint",
    ]  # fmt: skip
    assert plan[2].origin == "trainer.callbacks.0"
    kept = [
        (entry.callback.monitor, entry.callback.mode) for entry in plan if isinstance(entry.callback, ModelCheckpoint)
    ]
    assert kept == [("val/loss", "min"), ("val/accuracy", "max")]


def test_checkpoints_of_the_file_replace_those_that_would_be_added(digits, parts) -> None:
    plan = run_of(digits).plan()
    assert [entry.name for entry in plan] == ["SeedEachBatch", "WatchLoss", *NAMES, "TestOnTrainEnd", "LastCheckpoint"]


@pytest.mark.parametrize(
    ("setting", "name"),
    [({"max_steps": 3}, "StopAfterSteps"), ({"max_time": "1h"}, "Timer")],
)
def test_limits_are_callbacks_with_a_place(digits, parts, setting, name) -> None:
    names = [entry.name for entry in run_of(digits, **setting).plan()]
    assert names[-2:] == [name, "LastCheckpoint"]
    assert (name, f"added: trainer.{next(iter(setting))}") in added(run_of(digits, **setting))


def test_plateau_is_stepped_before_any_callback_of_the_file(digits, parts) -> None:
    names = [entry.name for entry in run_of(digits, scheduler={"name": "ReduceLROnPlateau"}).plan()]
    assert names.index("StepOnPlateau") < names.index("First")


def test_switched_off_entries_do_not_run_and_keep_the_numbers_of_the_others(digits, parts) -> None:
    plan = run_of(digits, callbacks=[{"name": "First", "active": False}, {"name": "Second"}]).plan()
    assert [(entry.name, entry.origin) for entry in plan if "trainer" in entry.origin] == [
        ("Second", "trainer.callbacks.1")
    ]


def test_main_metric_is_what_the_model_names(digits, parts) -> None:
    model = model_class(run_of(digits).config)
    assert (main_metric(model), main_metric_mode(model)) == ("val/accuracy", "max")


def test_refused_parameters_name_the_entry(digits, parts) -> None:
    both = {"every_n_train_steps": 1, "every_n_epochs": 1}
    with pytest.raises(ConfigError, match=r"trainer\.callbacks\.0\.params: invalid parameters for ModelCheckpoint"):
        run_of(digits, callbacks=[{"name": "ModelCheckpoint", "params": both}]).plan()


@pytest.mark.parametrize("entry", [{"name": "TestOnTrainEnd"}, {"name": "TestOnTrainEnd", "active": False}])
def test_a_test_is_added_only_where_the_file_says_nothing_of_it(digits, parts, entry) -> None:
    entries = [("TestOnTrainEnd", "trainer.callbacks.0")] if entry.get("active", True) else []
    plan = run_of(digits, callbacks=[entry]).plan()
    assert [(planned.name, planned.origin) for planned in plan if planned.name == "TestOnTrainEnd"] == entries


@pytest.mark.parametrize("compiles", [True, False])
def test_compiling_which_takes_minutes_is_announced(digits, caplog, compiles) -> None:
    own_parts()
    caplog.set_level(logging.INFO, "cuelight")
    Run.from_yaml(experiment(digits, compile=compiles)).plan()
    assert caplog.text.count("torch compiles the network at its first step") == compiles
