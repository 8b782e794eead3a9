"""Learning rate schedules that end with the training."""

from __future__ import annotations

import inspect
import logging
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.utilities.types import LRSchedulerConfigType
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LinearLR, LRScheduler, SequentialLR

from cuelight import registry
from cuelight.config.schema import SchedulerPart
from cuelight.errors import ConfigError, Problem
from cuelight.training.rescale_on_resume import rescale_on_resume
from cuelight.training.training_length import TrainingLength, training_length

logger = logging.getLogger(__name__)

_SCHEDULER_PATH = "trainer.scheduler"
_PLATEAU = "ReduceLROnPlateau"
# Parameters of torch's schedulers that set the length of the whole schedule.
_LENGTH_PARAMETERS = ("total_steps", "T_max", "total_iters")
# Schedulers in which such a parameter is the length of something else.
_LENGTH_IS_THEIR_OWN = ("ConstantLR",)
_RATES = ("max_lr", "base_lr")  # which replace those of the optimizer
_AFTER_THE_END = {
    "OneCycleLR": "it fails at the next one",
    "CosineAnnealingLR": "the learning rate rises again",
    "PolynomialLR": "the learning rate stays 0",
}
_WITHOUT_WARMUP = {
    _PLATEAU: "it has no fixed schedule",
    "OneCycleLR": "it has its own warm-up, set by pct_start",
    "CyclicLR": "it raises and lowers the learning rate itself",
}


def scheduler_problems(scheduler: SchedulerPart | None, path: str = _SCHEDULER_PATH) -> list[Problem]:
    """Report settings of a scheduler that contradict each other; ``path`` is its key path."""
    if scheduler is None:
        return []
    problems = []
    if scheduler.warmup and scheduler.name in _WITHOUT_WARMUP:
        reason = _WITHOUT_WARMUP[scheduler.name]
        problems.append(
            Problem(f"{scheduler.name} does not support warmup: {reason}. Leave warmup out.", f"{path}.warmup")
        )
    if scheduler.name == _PLATEAU and scheduler.interval == "step":
        message = f"{_PLATEAU} steps after a validation, so its interval must be epoch; got step. Leave interval out."
        problems.append(Problem(message, f"{path}.interval"))
    return problems


def build_schedule(
    part: SchedulerPart, optimizer: Optimizer, module: pl.LightningModule, max_steps: int | None
) -> LRSchedulerConfigType:
    """Return Lightning's ``lr_scheduler`` entry: after a warm-up, a schedule that ends with the training.

    ``module`` is attached to a trainer; ``max_steps`` is a limit that this trainer does not know of. ``ConfigError`` is
    raised if the schedule does not fit the length of the training.
    """
    if part.name == _PLATEAU:
        plateau = registry.schedulers.build(part, optimizer=optimizer)
        return {"scheduler": plateau, "interval": "epoch", "monitor": part.monitor}
    return {"scheduler": _fitted(part, optimizer, module, max_steps), "interval": part.interval}


def _fitted(
    part: SchedulerPart, optimizer: Optimizer, module: pl.LightningModule, max_steps: int | None
) -> LRScheduler:
    parameter = _missing_length(part)
    params: dict[str, Any] = dict(part.params)
    given = _given_length(part)
    if parameter or part.warmup or given:
        total = _in_intervals(training_length(module, max_steps), part)
        if given:
            _compare_lengths(part, given, total)
        if total and part.warmup >= total:
            message = (
                f"expected a warm-up shorter than the training of {total} {part.interval}s, got {part.warmup}. Make it "
                "shorter or train longer."
            )
            raise ConfigError([Problem(message, f"{_SCHEDULER_PATH}.warmup")])
        if parameter:
            if total is None:
                message = (
                    f"the length of the training is not known, so {part.name} needs {parameter}. Set it in "
                    "params, or set trainer.epochs or trainer.max_steps."
                )
                raise ConfigError([Problem(message, f"{_SCHEDULER_PATH}.params.{parameter}")])
            params[parameter] = max(1, total - part.warmup)
    params |= _rates_of_groups(params, optimizer)
    main: LRScheduler = registry.schedulers.build(part.model_copy(update={"params": params}), optimizer=optimizer)
    schedule = main
    if part.warmup:
        rise = LinearLR(optimizer, start_factor=1 / (part.warmup + 1), total_iters=part.warmup)
        schedule = SequentialLR(optimizer, [rise, main], milestones=[part.warmup])
    if parameter:
        rescale_on_resume(schedule, optimizer, parameter)
    return schedule


def _rates_of_groups(params: dict[str, Any], optimizer: Optimizer) -> dict[str, list[float]]:
    """Return the learning rates that a scheduler sets, for each group in its ratio to the learning rate of all."""
    rates, base = [group["lr"] for group in optimizer.param_groups], optimizer.defaults["lr"]
    if not base or set(rates) == {base}:
        return {}
    ratios = [rate / base for rate in rates]
    given = {name: params[name] for name in _RATES if isinstance(params.get(name), (int, float))}
    return {name: [value * ratio for ratio in ratios] for name, value in given.items()}


def _missing_length(part: SchedulerPart) -> str | None:
    """Return the parameter for the schedule's length, if the scheduler has one and it is not set."""
    if part.name in _LENGTH_IS_THEIR_OWN or {"epochs", "steps_per_epoch"} <= part.params.keys():
        return None
    accepted = inspect.signature(registry.schedulers.get(part.name)).parameters
    lengths = [name for name in _LENGTH_PARAMETERS if name in accepted]
    return lengths[0] if lengths and part.params.get(lengths[0]) is None else None


def _given_length(part: SchedulerPart) -> int | None:
    """Return the length of a schedule that is set, if something happens at its end."""
    if part.name not in _AFTER_THE_END:
        return None
    epochs, steps = part.params.get("epochs"), part.params.get("steps_per_epoch")
    lengths = [part.params[name] for name in _LENGTH_PARAMETERS if part.params.get(name) is not None]
    return lengths[0] if lengths else epochs * steps if epochs and steps else None


def _compare_lengths(part: SchedulerPart, given: int, total: int | None) -> None:
    """Refuse, or warn of, a schedule that ends before the training, whose length ``total`` may be unknown."""
    lengths = sorted(part.params.keys() & {*_LENGTH_PARAMETERS, "epochs", "steps_per_epoch"})
    left_out = f"Leave {' and '.join(lengths)} out"
    if total is None or given + part.warmup < total:
        length = "has no known end" if total is None else f"takes {total} {part.interval}s"
        message = (
            f"{part.name} ends after {given} {part.interval}s, but the training {length}; {_AFTER_THE_END[part.name]}. "
            f"{left_out}, so that the schedule ends with the training."
        )
        if part.name == "OneCycleLR":
            raise ConfigError([Problem(message, f"{_SCHEDULER_PATH}.params")])
        logger.warning("%s", message)


def _in_intervals(length: TrainingLength | None, part: SchedulerPart) -> int | None:
    if length is None:
        return None
    return length.steps if part.interval == "step" else length.epochs
