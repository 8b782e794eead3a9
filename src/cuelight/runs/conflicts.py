"""Combinations that cannot work."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import lightning.pytorch as pl
from lightning.pytorch.accelerators import AcceleratorRegistry
from lightning.pytorch.callbacks import (
    DeviceStatsMonitor,
    GradientAccumulationScheduler,
    LearningRateMonitor,
    ModelCheckpoint,
    Timer,
)
from lightning.pytorch.strategies import StrategyRegistry

from cuelight import registry
from cuelight.callbacks.channels_last import ChannelsLast, beside_channels_last
from cuelight.callbacks.ema.conflicts import conflicts
from cuelight.callbacks.ema.ema_callback import EMACallback
from cuelight.callbacks.gpu_stats_monitor import GPUStatsMonitor
from cuelight.callbacks.grad_cam_callback import GradCamCallback
from cuelight.callbacks.metadata_logger import MetadataLogger
from cuelight.callbacks.train_end_step import TrainEndStep
from cuelight.config.schema import Config
from cuelight.config.tracker import TensorBoardConfig
from cuelight.errors import Problem, did_you_mean
from cuelight.provenance.hyperparameters import missing_keys
from cuelight.tasks.lookup import TASKS


def find_problems(
    config: Config, model: type[pl.LightningModule], callbacks: Sequence[tuple[str, pl.Callback]]
) -> list[Problem]:
    """Find what would fail, or silently do nothing, once the training runs.

    Args:
        config: A checked configuration.
        model: The class of its model.
        callbacks: The callbacks of the file with their key paths, in order.

    Returns:
        One problem for each; empty if all can work.
    """
    return [
        *_unknown_hardware(config),
        *_trackers_of_another_process(config),
        *_fight_over_last(callbacks),
        *_files_elsewhere(callbacks),
        *_two_timers(config, callbacks),
        *_double_accumulation(config, callbacks),
        *_beside_average(callbacks),
        *_beside_channels_last(config, callbacks),
        *_nowhere_to_log(config, callbacks),
        *_same_state(callbacks),
        *_impossible_steps(callbacks),
        *_unknown_metrics(config, model, callbacks),
        *_unknown_hyperparameters(config, callbacks),
        *_two_records(callbacks),
        *_data_of_another_task(config, model),
        *_tasks_of_others(model, callbacks),
    ]


def missing_hardware(config: Config, callbacks: Sequence[tuple[str, pl.Callback]]) -> list[Problem]:
    """Find what callbacks need and this machine does not have.

    Asked when a training begins, not when a file is read: a file may be planned, and a run tested and exported, on
    another machine.

    Args:
        config: A checked configuration.
        callbacks: The callbacks of the file with their key paths, in order.

    Returns:
        One problem for each; empty if nothing is missing.
    """
    monitors = [(path, callback) for path, callback in callbacks if isinstance(callback, GPUStatsMonitor)]
    problems = ((path, monitor.problem(config.trainer.accelerator)) for path, monitor in monitors)
    return [Problem(problem, path) for path, problem in problems if problem]


def _unknown_hardware(config: Config) -> Iterator[Problem]:
    accelerators = ["gpu", *AcceleratorRegistry.available_accelerators()]  # gpu: whichever kind there is
    for key, value, registered in (
        ("accelerator", config.trainer.accelerator, accelerators),
        ("strategy", config.trainer.strategy, StrategyRegistry.available_strategies()),
    ):
        known = ["auto", *sorted(registered)]
        if value not in known:
            yield Problem(
                f'Lightning knows no {key} "{value}".{did_you_mean(value, known)} Known are: {", ".join(known)}.',
                f"trainer.{key}",
            )


def _trackers_of_another_process(config: Config) -> Iterator[Problem]:
    """What sends to a tracker is begun in this process, and cannot go to one that multiprocessing starts."""
    if not any(method in config.trainer.strategy for method in ("spawn", "fork", "notebook")):
        return
    tracker = config.tracker
    copied = isinstance(tracker.tensorboard, TensorBoardConfig) and tracker.tensorboard.dir is not None
    sends = {"mlflow": tracker.mlflow is not False, "wandb": tracker.wandb is not False, "tensorboard.dir": copied}
    for key in (key for key, is_on in sends.items() if is_on):
        yield Problem(
            f'nothing can be sent from the processes that the strategy "{config.trainer.strategy}" starts. Use ddp, or '
            "leave this out.",
            f"tracker.{key}",
        )


def _fight_over_last(callbacks: Sequence[tuple[str, pl.Callback]]) -> Iterator[Problem]:
    for path, callback in callbacks:
        if not isinstance(callback, ModelCheckpoint):
            continue
        for key, taken in (("save_last", callback.save_last), ("filename", callback.filename == "last")):
            if taken:
                message = "last.ckpt is always kept, and a resume needs it as it is. Leave this out."
                yield Problem(message, f"{path}.params.{key}")


def _files_elsewhere(callbacks: Sequence[tuple[str, pl.Callback]]) -> Iterator[Problem]:
    for path, callback in callbacks:
        filename = str(getattr(callback, "filename", None) or "")
        if filename.startswith("/") or ".." in filename.split("/"):
            message = (
                f'expected a file name inside the checkpoint folder, got "{filename}". Set dirpath for another one.'
            )
            yield Problem(message, f"{path}.params.filename")


def _two_timers(config: Config, callbacks: Sequence[tuple[str, pl.Callback]]) -> Iterator[Problem]:
    for path, callback in callbacks:
        if isinstance(callback, Timer) and config.trainer.max_time is not None:
            yield Problem("Timer limits the training, and so does trainer.max_time. Leave one of them out.", path)


def _double_accumulation(config: Config, callbacks: Sequence[tuple[str, pl.Callback]]) -> Iterator[Problem]:
    factor = config.trainer.accumulate_grad_batches
    for path, callback in callbacks:
        if isinstance(callback, GradientAccumulationScheduler) and factor != 1:
            yield Problem(
                f"GradientAccumulationScheduler decides how many batches are accumulated, and so does "
                f"trainer.accumulate_grad_batches: {factor}. Leave one of them out.",
                path,
            )


def _beside_average(callbacks: Sequence[tuple[str, pl.Callback]]) -> Iterator[Problem]:
    averages = [(path, callback) for path, callback in callbacks if isinstance(callback, EMACallback)]
    for path, average in averages[:1]:
        for reason in conflicts(average, [callback for _, callback in callbacks]):
            yield Problem(reason, path)


def _beside_channels_last(config: Config, callbacks: Sequence[tuple[str, pl.Callback]]) -> Iterator[Problem]:
    first = next((path for path, callback in callbacks if isinstance(callback, ChannelsLast)), None)
    if first is not None:
        others = [callback for _, callback in callbacks]
        for reason in beside_channels_last(others, [config.trainer.optimizer.name]):
            yield Problem(reason, first)


def _nowhere_to_log(config: Config, callbacks: Sequence[tuple[str, pl.Callback]]) -> Iterator[Problem]:
    tracker = config.tracker
    if any(switch is not False for switch in (tracker.tensorboard, tracker.csv, tracker.mlflow, tracker.wandb)):
        return
    for path, callback in callbacks:
        if isinstance(callback, (LearningRateMonitor, DeviceStatsMonitor, GPUStatsMonitor)):
            yield Problem(
                f"{type(callback).__name__} logs to the trackers, and all of them are off. Switch one on under "
                "tracker, or set active: false.",
                path,
            )


def _same_state(callbacks: Sequence[tuple[str, pl.Callback]]) -> Iterator[Problem]:
    first: dict[str, str] = {}
    for path, callback in callbacks:
        if isinstance(callback, TrainEndStep):
            continue  # see below
        keeps_state = type(callback).state_dict is not pl.Callback.state_dict
        earlier = first.setdefault(callback.state_key, path)
        if keeps_state and earlier != path:
            yield Problem(
                f"{type(callback).__name__} has the same purpose as {earlier}, so that a checkpoint could not hold "
                "the states of both. Let them monitor different metrics or save at different times, or leave one out.",
                path,
            )


def _impossible_steps(callbacks: Sequence[tuple[str, pl.Callback]]) -> Iterator[Problem]:
    seen: dict[str, str] = {}
    for path, callback in callbacks:
        if not isinstance(callback, TrainEndStep):
            continue
        if problem := callback.problem():
            yield Problem(problem, path)
        if callback.step_name in seen:
            message = f"{callback.step_name} stands at {seen[callback.step_name]} already, and would be overwritten."
            yield Problem(f"{message} Leave one of them.", path)
        seen[callback.step_name] = path


def _unknown_metrics(
    config: Config, model: type[pl.LightningModule], callbacks: Sequence[tuple[str, pl.Callback]]
) -> Iterator[Problem]:
    logged: Sequence[str] | None = getattr(model, "logged_metrics", None)
    if logged is None:
        return
    monitored = [(f"{path}.params.monitor", getattr(callback, "monitor", None)) for path, callback in callbacks]
    scheduler = config.trainer.scheduler
    if scheduler is not None and scheduler.name == "ReduceLROnPlateau":
        monitored.append(("trainer.scheduler.monitor", scheduler.monitor))
    for path, metric in monitored:
        if metric is not None and metric not in logged:
            yield Problem(
                f'{model.__name__} logs no metric "{metric}".{did_you_mean(metric, logged)} It logs: '
                f"{', '.join(logged)}.",
                path,
            )


def _unknown_hyperparameters(config: Config, callbacks: Sequence[tuple[str, pl.Callback]]) -> Iterator[Problem]:
    for path, callback in callbacks:
        if isinstance(callback, MetadataLogger):
            for position, reason in missing_keys(config.to_dict(), callback.hyperparams or []).items():
                yield Problem(reason, f"{path}.params.hyperparams.{position}")


def _two_records(callbacks: Sequence[tuple[str, pl.Callback]]) -> Iterator[Problem]:
    first, *others = [path for path, callback in callbacks if isinstance(callback, MetadataLogger)] or [""]
    for path in others:
        yield Problem(f"MetadataLogger stands at {first} already, and there is one record. List all keys there.", path)


def _tasks_of_others(
    model: type[pl.LightningModule], callbacks: Sequence[tuple[str, pl.Callback]]
) -> Iterator[Problem]:
    own = getattr(model, "task", None)
    if own not in TASKS or hasattr(model, "class_scores"):
        return  # it is not known, or the module scores its classes itself
    for path, callback in callbacks:
        if isinstance(callback, GradCamCallback) and callback.task != own:
            yield Problem(
                f'{model.__name__} does {own}, and GradCamCallback is to explain {callback.task}. Set "task: {own}".',
                f"{path}.params.task",
            )


def _data_of_another_task(config: Config, model: type[pl.LightningModule]) -> Iterator[Problem]:
    own, given = str(getattr(model, "task", "")), str(getattr(registry.data.get(config.data.name), "task", ""))
    if own == given or not {own, given} <= TASKS.keys():
        return  # they fit, or one of them does not tell
    fitting = [name for name in registry.data.kind.builtins if getattr(registry.data.get(name), "task", None) == own]
    yield Problem(
        f"{config.data.name} has {TASKS[given].targets}, and {config.model.name} does {own}, which takes "
        f"{TASKS[own].targets}. "
        f"Expected data such as {', '.join(fitting)}, or a model that does {given}.",
        "data.name",
    )
