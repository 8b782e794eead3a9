"""Checks whether the parts of a configuration work together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import lightning.pytorch as pl
import torch
from lightning.pytorch.accelerators import AcceleratorRegistry
from lightning.pytorch.callbacks import GradientAccumulationScheduler
from lightning.pytorch.strategies import StrategyRegistry

from cuelight import registry
from cuelight.callbacks.base.check import ChecksModel, check_callback
from cuelight.config.schema import Config
from cuelight.data.base.image_data_module import ImageDataModule
from cuelight.data.spec import data_spec_of
from cuelight.errors import ConfigError, ConfigWarning, DataError, Problem, did_you_mean
from cuelight.runs.before_imports import missing_data
from cuelight.runs.build import build_data, build_model, model_class, with_class_counts
from cuelight.runs.defaults import with_defaults
from cuelight.runs.first_weights import prepare_weights
from cuelight.runs.plan import PlannedCallback
from cuelight.runs.trainer import build_trainer
from cuelight.tasks.lookup import TASKS
from cuelight.tracking.loggers.requirements import tracker_problems
from cuelight.training.schedules import scheduler_problems
from cuelight.weights.best import main_metric, main_metric_mode


def check(config: Config, planned: Sequence[PlannedCallback]) -> list[Problem | ConfigWarning]:
    """Return the problems and warnings of a checked configuration, with their places in the file. No data is read."""
    callbacks = [entry.callback for entry in planned]
    found: list[Problem | ConfigWarning] = [
        *scheduler_problems(config.trainer.scheduler),
        *_unknown_hardware(config),
        *tracker_problems(config.tracker),
        *_trackers_of_another_process(config),
        *_data_of_another_task(config),
        *missing_data(config),
        *_rounded_targets(config),
        *_unknown_metrics(config, planned),
        *_model_warnings(config),
        *_wrong_direction(config, planned),
        *_never_validated(config),
        *_mixed_until_the_end(config),
    ]
    for entry in planned:
        answers = list(check_callback(entry.callback, config, callbacks, entry.path))
        found += answers or _same_state(entry, planned)  # a callback's own check is more precise
    return found


def check_model(
    planned: Sequence[PlannedCallback], module: pl.LightningModule, class_names: Sequence[str] | None
) -> list[Problem]:
    """Return what callbacks of the file need and the model does not have."""
    return [
        problem._replace(path=f"{entry.path}.{problem.path}")
        for entry in planned
        if entry.path and isinstance(entry.callback, ChecksModel)
        for problem in entry.callback.check_model(module, class_names)
    ]


def check_model_of(config: Config, planned: Sequence[PlannedCallback]) -> list[Problem]:
    """Return the problems of ``check_model`` before a training; none if the classes of the data are not known."""
    if list(missing_data(config)):
        return []
    try:
        data = build_data(config)
        spec = with_class_counts(data_spec_of(data), config, data)
        with torch.device("meta"):
            module = build_model(config, spec, fresh=False)
        prepare_weights(module, config, is_new=False)
        if problems := check_model(planned, module, spec.class_names):
            return problems
        try_optimizers(config, planned, module, data)
    except ConfigError as error:
        return list(error.problems)
    except DataError:
        raise
    except Exception:  # noqa: BLE001 - of data that is not here, or of a model that cannot be built on this device
        return []
    return []


def try_optimizers(
    config: Config, planned: Sequence[PlannedCallback], module: pl.LightningModule, data: pl.LightningDataModule
) -> None:
    """Make the optimizers as a training does; ``ConfigError`` if the schedule does not fit the length of it.

    Data of other kinds is left alone: it may read its images in ``setup``.
    """
    if not isinstance(data, ImageDataModule):
        return
    accumulation = [one.callback for one in planned if isinstance(one.callback, GradientAccumulationScheduler)]
    trainer = build_trainer(config.trainer, accumulation, [], Path())
    module.trainer = data.trainer = trainer
    trainer.datamodule = data  # type: ignore[attr-defined]  # Lightning declares it nowhere
    data.setup("fit")
    data.train_dataloader()  # it refuses weights of classes that the data does not have
    module.configure_optimizers()


def _unknown_hardware(config: Config) -> Iterator[Problem]:
    accelerators = ["gpu", *AcceleratorRegistry.available_accelerators()]  # gpu: any kind
    for key, value, registered in (
        ("accelerator", config.trainer.accelerator, accelerators),
        ("strategy", config.trainer.strategy, StrategyRegistry.available_strategies()),
    ):
        known = ["auto", *sorted(registered)]
        if value not in known:
            yield Problem(
                f'unknown {key} "{value}".{did_you_mean(value, known)} Expected one of: {", ".join(known)}.',
                f"trainer.{key}",
            )


def _never_validated(config: Config) -> Iterator[ConfigWarning]:
    interval, epochs = config.trainer.validation_interval, config.trainer.epochs
    if isinstance(interval, int) and 0 < epochs < interval:
        yield ConfigWarning(
            f"the training of {epochs} epochs ends before the first validation, so there is no best checkpoint, and "
            "nothing is tested or exported. Set it to at most the number of epochs.",
            "trainer.validation_interval",
        )


def _mixed_until_the_end(config: Config) -> Iterator[ConfigWarning]:
    params = with_defaults(config).data.params if config.trainer.max_steps else {}
    for key, methods in (("close_mix", ("mixup_alpha", "cutmix_alpha")), ("close_mosaic", ("mosaic", "mixup"))):
        if params.get(key) and any(map(params.get, methods)):
            yield ConfigWarning(
                "these epochs are counted back from trainer.epochs, so that trainer.max_steps may end the training "
                "before images are left unmixed. Set trainer.epochs to what the steps need.",
                f"data.params.{key}",
            )


def _rounded_targets(config: Config) -> Iterator[Problem]:
    """Lightning converts the targets to the precision, too."""
    precision = config.trainer.precision
    if precision in ("16-true", "bf16-true") and getattr(model_class(config), "has_exact_targets", False):
        mixed = str(precision).replace("true", "mixed")
        message = f"coordinates would be rounded to 16 bits, by several pixels. Use {mixed}."
        yield Problem(message, "trainer.precision")


def _trackers_of_another_process(config: Config) -> Iterator[Problem]:
    """What sends to a tracker starts in this process, and cannot move to one that multiprocessing starts."""
    if not any(method in config.trainer.strategy for method in ("spawn", "fork", "notebook")):
        return
    for key in config.tracker.senders:
        yield Problem(
            f'this tracker does not work in the processes that the strategy "{config.trainer.strategy}" starts. Use '
            "ddp, or remove the tracker.",
            f"tracker.{key}",
        )


def _data_of_another_task(config: Config) -> Iterator[Problem]:
    own = str(getattr(model_class(config), "task", ""))
    given = str(getattr(registry.data.get(config.data.name), "task", ""))
    if own == given or not {own, given} <= TASKS.keys():
        return  # they match, or one of them has no known task
    fitting = [name for name in registry.data.kind.builtins if getattr(registry.data.get(name), "task", None) == own]
    yield Problem(
        f"{config.data.name} has {TASKS[given].targets}, but {config.model.name} is a {own} model and needs "
        f"{TASKS[own].targets}. Use data such as {', '.join(fitting)}, or a {given} model.",
        "data.name",
    )


def _unknown_metrics(config: Config, planned: Sequence[PlannedCallback]) -> Iterator[Problem]:
    model = model_class(config)
    logged: Sequence[str] | None = getattr(model, "logged_metrics", None)
    if logged is None:
        return
    monitored = [(f"{entry.path}.params.monitor", getattr(entry.callback, "monitor", None)) for entry in planned]
    scheduler = config.trainer.scheduler
    if scheduler is not None and scheduler.name == "ReduceLROnPlateau":
        monitored.append(("trainer.scheduler.monitor", scheduler.monitor))
    for path, metric in monitored:
        if metric is not None and metric not in logged:
            yield Problem(
                f'{model.__name__} does not log "{metric}".{did_you_mean(metric, logged)} Logged metrics: '
                f"{', '.join(logged)}.",
                path,
            )


def _model_warnings(config: Config) -> Iterator[ConfigWarning]:
    """Ask the class of the model, which may have a class method ``parameter_warnings(params, path)``."""
    warnings = getattr(model_class(config), "parameter_warnings", None)
    if warnings is not None:
        yield from warnings(config.model.params, "model.params")


def _wrong_direction(config: Config, planned: Sequence[PlannedCallback]) -> Iterator[ConfigWarning]:
    """Find callbacks that take the worst for the best."""
    model = model_class(config)
    metric = main_metric(model)
    for entry in planned:
        monitor, mode = getattr(entry.callback, "monitor", None), getattr(entry.callback, "mode", None)
        usual = main_metric_mode(model) if monitor == metric else "min" if "loss" in str(monitor).lower() else mode
        if monitor and mode != usual:
            yield ConfigWarning(
                f"{entry.name} takes the {'largest' if mode == 'max' else 'smallest'} {monitor} for the best. Set "
                f"mode: {usual}, unless that is what you want.",
                f"{entry.path}.params.mode",
            )


def _same_state(entry: PlannedCallback, planned: Sequence[PlannedCallback]) -> Iterator[Problem]:
    callback = entry.callback
    first = next(other for other in planned if other.callback.state_key == callback.state_key)
    if entry.path and first is not entry and type(callback).state_dict is not pl.Callback.state_dict:
        advice = (
            "Let them monitor different metrics, or leave one out." if hasattr(callback, "monitor") else "Leave one."
        )
        yield Problem(
            f"{entry.name} has the same state key as {first.origin}, so a checkpoint cannot contain the states of "
            f"both. {advice}",
            entry.path,
        )
