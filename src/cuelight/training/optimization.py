"""The optimizer and its learning rate schedule, as ``configure_optimizers`` returns them."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch.optim import Optimizer

from cuelight import registry
from cuelight.config.schema import Part, SchedulerPart
from cuelight.errors import ConfigError
from cuelight.training.parameter_groups import parameter_groups
from cuelight.training.schedules import build_schedule, scheduler_problems


class Optimization:
    """Makes the optimizer and the learning rate scheduler of a module, as ``configure_optimizers`` returns them.

    If a scheduler needs the length of the training (``T_max``, ``total_steps``, ``total_iters``) and the configuration
    leaves it out, it is computed from the trainer, so that the schedule ends with the training. This accounts for
    gradient accumulation, ``GradientAccumulationScheduler``, ``max_steps`` and ``limit_train_batches``. Parameters that
    do not require a gradient are left out. Groups of parameters with a learning rate of their own keep their ratio to
    the others under a scheduler that sets learning rates.

    A warm-up of n intervals raises the learning rate in equal steps from ``lr / (n + 1)`` to ``lr`` (P. Goyal et al.,
    2017, "Accurate, Large Minibatch SGD: Training ImageNet in 1 Hour"); the schedule begins after it.

    Args:
        optimizer: Name and parameters of the optimizer.
        scheduler: Name and parameters of the scheduler; ``None`` keeps the learning rate constant.
        max_steps: A limit in optimizer steps that the trainer does not know of; the schedule ends there.
        changed: Parameters of the optimizer that were changed for a resume: they replace those of the loaded state.

    Raises:
        ConfigError: If settings of the scheduler contradict each other.

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

    def __init__(
        self,
        optimizer: Part,
        scheduler: SchedulerPart | None = None,
        max_steps: int | None = None,
        changed: Collection[str] = (),
    ) -> None:
        if problems := scheduler_problems(scheduler):
            raise ConfigError(problems)
        self.optimizer = optimizer
        self.scheduler = scheduler
        self.max_steps = max_steps
        self.changed = changed
        self._settings: list[dict[str, Any]] = []

    def __call__(self, module: pl.LightningModule) -> OptimizerLRScheduler:
        """Return what Lightning expects from ``configure_optimizers``.

        Args:
            module: A module that is attached to a trainer (without a scheduler it need not be).

        Raises:
            ConfigError: If no parameter requires a gradient, or the schedule does not fit the length of the training.
        """
        groups = parameter_groups(module, self.optimizer)
        optimizer: Optimizer = registry.optimizers.build(self.optimizer, params=groups)
        self._settings = [{key: value for key, value in group.items() if key != "params"} for group in groups]
        optimizer.register_load_state_dict_post_hook(self._apply_changes)
        if self.scheduler is None:
            return optimizer
        schedule = build_schedule(self.scheduler, optimizer, module, self.max_steps)
        return {"optimizer": optimizer, "lr_scheduler": schedule}

    def _apply_changes(self, optimizer: Optimizer) -> None:
        for group, own in zip(optimizer.param_groups, self._settings, strict=True):
            group.update({name: value for name, value in (optimizer.defaults | own).items() if name in self.changed})
