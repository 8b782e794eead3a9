"""Train layers from an epoch on."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator, Sequence

import lightning.pytorch as pl
from lightning.pytorch.callbacks import ModelPruning
from lightning.pytorch.strategies import DDPStrategy, SingleDeviceStrategy

from cuelight.config import Config
from cuelight.config.schema import FrozenLayers
from cuelight.errors import ConfigWarning, CuelightError, Problem
from cuelight.training.freezing import PATH, freeze, frozen_in

logger = logging.getLogger(__name__)


class Unfreeze(pl.Callback):
    """Freezes layers until an epoch, from which on they are trained.

    The optimizer has their parameters from the start, so its groups and its scheduler stay as they are. A parameter
    without a gradient is not changed by a step. Nothing is saved: what is frozen follows from the epoch.

    Args:
        entries: ``model.freeze`` of the configuration.

    Raises:
        CuelightError: When the training starts, if the strategy needs to know from the start what is trained.
    """

    def __init__(self, entries: Sequence[FrozenLayers]) -> None:
        self.entries = entries
        self._frozen = frozen_in(math.inf, entries)
        self._undo: Callable[[], None] | None = None

    def check(self, config: Config | None, callbacks: Sequence[pl.Callback]) -> Iterator[Problem | ConfigWarning]:
        """Find layers that would be frozen for the whole training, and a callback that changes their names."""
        if any(isinstance(callback, ModelPruning) for callback in callbacks):
            message = "ModelPruning gives new names to parameters, so until_epoch cannot be used with it. Remove one."
            yield Problem(message, PATH)
        epochs = config.trainer.epochs if config is not None else math.inf
        for index, entry in enumerate(self.entries):
            if entry.until_epoch is not None and 0 < epochs <= entry.until_epoch:
                message = f"the training of {epochs} epochs ends before {entry.match} is trained."
                yield ConfigWarning(message, f"{PATH}.{index}.until_epoch")

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Refuse other strategies."""
        if not isinstance(trainer.strategy, (SingleDeviceStrategy, DDPStrategy)):
            raise CuelightError(
                f"{PATH} with until_epoch does not work with {type(trainer.strategy).__name__}. Use one device or ddp, "
                "or leave until_epoch out."
            )

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Freeze; also in the middle of an epoch that is resumed."""
        self._update(trainer, pl_module)

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Unfreeze what is trained from this epoch on."""
        self._update(trainer, pl_module)

    def _update(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        now = frozen_in(trainer.current_epoch, self.entries)
        if now == self._frozen:
            return
        if (trained := self._frozen.keys() - now.keys()) and trainer.is_global_zero:
            names = ", ".join(self._frozen[path] for path in sorted(trained))
            logger.info("From epoch %d on, %s is trained too.", trainer.current_epoch + 1, names)
        if self._undo is not None:
            self._undo()
        self._undo, self._frozen = freeze(module, now), now
        if isinstance(trainer.strategy, DDPStrategy):  # it averages the gradients that were needed when it was set up
            trainer.strategy.model = module
            trainer.strategy.configure_ddp()
