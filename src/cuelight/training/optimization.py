"""The optimizer and the learning rate schedule of a training, from their parts."""

from __future__ import annotations

import inspect
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LinearLR, LRScheduler, SequentialLR

from cuelight import registry
from cuelight.config.schema import Part, SchedulerPart
from cuelight.errors import ConfigError, Problem
from cuelight.training.rescale_on_resume import rescale_on_resume
from cuelight.training.training_length import TrainingLength, training_length

_SCHEDULER_PATH = "trainer.scheduler"
_PLATEAU = "ReduceLROnPlateau"
# Parameters of torch's schedulers that say how long the whole schedule is.
_LENGTH_PARAMETERS = ("total_steps", "T_max", "total_iters")
# Schedulers in which such a parameter means the length of something else, or which rise by themselves.
_LENGTH_IS_THEIR_OWN = ("ConstantLR",)
_WITHOUT_WARMUP = {
    _PLATEAU: "it has no fixed schedule that a warm-up could precede",
    "OneCycleLR": "it has a warm-up of its own, set by its parameter pct_start",
    "CyclicLR": "it rises and falls by itself",
}


class Optimization:
    """Makes the optimizer and the learning rate scheduler of a module, as ``configure_optimizers`` returns them.

    What a scheduler needs to know about the length of the training (``T_max``, ``total_steps``, ``total_iters``) and
    the file leaves out is counted from the trainer, so that the schedule ends with the training: under gradient
    accumulation, ``GradientAccumulationScheduler``, ``max_steps`` and ``limit_train_batches``. Parameters that do
    not require a gradient are left out.

    A warm-up of n intervals raises the learning rate in equal steps from ``lr / (n + 1)`` to ``lr`` (P. Goyal et
    al., 2017, "Accurate, Large Minibatch SGD: Training ImageNet in 1 Hour"); the schedule begins after it.

    Args:
        optimizer: Name and parameters of the optimizer.
        scheduler: Name and parameters of the scheduler; ``None`` keeps the learning rate constant.
        max_steps: A limit in optimizer steps that the trainer does not know of; the schedule ends there.

    Raises:
        ConfigError: If the scheduler cannot work as asked for.

    Examples:
        >>> from cuelight.config import Part
        >>> class Module(pl.LightningModule):
        ...     def __init__(self, optimization):
        ...         super().__init__()
        ...         self.optimization = optimization
        ...
        ...     def configure_optimizers(self):
        ...         return self.optimization(self)
        >>> module = Module(Optimization(Part(name="SGD", params={"lr": 0.1})))
    """

    def __init__(self, optimizer: Part, scheduler: SchedulerPart | None = None, max_steps: int | None = None) -> None:
        if scheduler is not None and (problems := scheduler_problems(scheduler)):
            raise ConfigError(problems)
        self.optimizer = optimizer
        self.scheduler = scheduler
        self.max_steps = max_steps

    def __call__(self, module: pl.LightningModule) -> OptimizerLRScheduler:
        """Build for one module, inside ``configure_optimizers``.

        Args:
            module: A module that is attached to a trainer (without a scheduler it need not be).

        Returns:
            What Lightning expects from ``configure_optimizers``.

        Raises:
            ConfigError: If nothing can be trained, or the schedule cannot be fitted to the training.
        """
        parameters = [parameter for parameter in module.parameters() if parameter.requires_grad]
        if not parameters:
            message = "no parameter of the model requires a gradient, so there is nothing to train; unfreeze some."
            raise ConfigError([Problem(message, "model")])
        optimizer: Optimizer = registry.optimizers.build(self.optimizer, params=parameters)
        if self.scheduler is None:
            return optimizer
        if self.scheduler.name == _PLATEAU:
            plateau = registry.schedulers.build(self.scheduler, optimizer=optimizer)
            return {
                "optimizer": optimizer,
                "lr_scheduler": {"scheduler": plateau, "interval": "epoch", "monitor": self.scheduler.monitor},
            }
        schedule = _build_schedule(self.scheduler, optimizer, module, self.max_steps)
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": schedule, "interval": self.scheduler.interval},
        }


def scheduler_problems(scheduler: SchedulerPart, path: str = _SCHEDULER_PATH) -> list[Problem]:
    """Check what can be known about a scheduler before the training.

    Args:
        scheduler: The scheduler part.
        path: Its key path, for the message.

    Returns:
        One problem for each setting that contradicts another.
    """
    problems = []
    if scheduler.warmup and scheduler.name in _WITHOUT_WARMUP:
        reason = _WITHOUT_WARMUP[scheduler.name]
        problems.append(Problem(f"{scheduler.name} takes no warm-up: {reason}. Leave warmup out.", f"{path}.warmup"))
    if scheduler.name == _PLATEAU and scheduler.interval == "step":
        message = f"{_PLATEAU} waits for a validation, so its interval is epoch; got step. Leave interval out."
        problems.append(Problem(message, f"{path}.interval"))
    return problems


def _build_schedule(
    part: SchedulerPart, optimizer: Optimizer, module: pl.LightningModule, max_steps: int | None
) -> LRScheduler:
    parameter = _missing_length(part)
    params: dict[str, Any] = dict(part.params)
    if parameter or part.warmup:
        total = _in_intervals(training_length(module, max_steps), part)
        if total and part.warmup >= total:
            message = (
                f"a warm-up of {part.warmup} is as long as the whole training of {total}, both in {part.interval}s; "
                "nothing is left for the schedule itself. Make it shorter or train longer."
            )
            raise ConfigError([Problem(message, f"{_SCHEDULER_PATH}.warmup")])
        if parameter:
            if total is None:
                message = (
                    f"the length of the training is not known, so {part.name} needs {parameter}. Give it in "
                    "params, or set trainer.epochs or trainer.max_steps."
                )
                raise ConfigError([Problem(message, f"{_SCHEDULER_PATH}.params.{parameter}")])
            params[parameter] = max(1, total - part.warmup)
    main: LRScheduler = registry.schedulers.build(part.model_copy(update={"params": params}), optimizer=optimizer)
    schedule = main
    if part.warmup:
        rise = LinearLR(optimizer, start_factor=1 / (part.warmup + 1), total_iters=part.warmup)
        schedule = SequentialLR(optimizer, [rise, main], milestones=[part.warmup])
    if parameter:
        rescale_on_resume(schedule, optimizer, parameter)
    return schedule


def _missing_length(part: SchedulerPart) -> str | None:
    """Name the parameter for the schedule's length, if the scheduler has one and the file leaves it out."""
    if part.name in _LENGTH_IS_THEIR_OWN or {"epochs", "steps_per_epoch"} <= part.params.keys():
        return None
    accepted = inspect.signature(registry.schedulers.get(part.name)).parameters
    lengths = [name for name in _LENGTH_PARAMETERS if name in accepted]
    return lengths[0] if lengths and part.params.get(lengths[0]) is None else None


def _in_intervals(length: TrainingLength | None, part: SchedulerPart) -> int | None:
    if length is None:
        return None
    return length.steps if part.interval == "step" else length.epochs
