"""Step ``ReduceLROnPlateau`` so that a resume does not change it."""

from __future__ import annotations

import sys

import lightning.pytorch as pl
from lightning.pytorch.utilities.types import LRSchedulerConfig

from cuelight.callbacks.added.cut_epoch import is_cut, is_extra_validation
from cuelight.errors import CuelightError, did_you_mean


class StepOnPlateau(pl.Callback):
    """Steps ``ReduceLROnPlateau`` right after each validation, before any checkpoint of it is saved.

    Lightning steps it after the checkpoints of the epoch were saved, and not at all in the epoch from which a
    training is resumed, so a resumed training would have another learning rate than an uninterrupted one.
    Schedulers that monitor a training metric (its name starts with ``train``) are stepped at the end of the epoch.
    Other schedulers, and those with ``interval="step"``, are not changed.

    It must come before the callbacks that save checkpoints.

    Raises:
        CuelightError: After a validation in which the monitored metric was not logged.
    """

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Prevent Lightning from stepping these schedulers too."""
        for config in _watching(trainer):
            config.frequency = sys.maxsize

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Step the schedulers that monitor a validation metric."""
        if trainer.state.fn != "fit" or trainer.sanity_checking or is_extra_validation(trainer):
            return
        for config in _watching(trainer):
            if not _watches_training(config):
                _step(trainer, pl_module, config)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Step the schedulers that monitor a training metric."""
        if is_cut(trainer):
            return
        for config in _watching(trainer):
            if _watches_training(config):
                _step(trainer, pl_module, config)


def _watching(trainer: pl.Trainer) -> list[LRSchedulerConfig]:
    configs = trainer.lr_scheduler_configs
    return [config for config in configs if config.reduce_on_plateau and config.interval == "epoch"]


def _watches_training(config: LRSchedulerConfig) -> bool:
    return str(config.monitor).startswith("train")


def _step(trainer: pl.Trainer, module: pl.LightningModule, config: LRSchedulerConfig) -> None:
    metrics = trainer.callback_metrics
    if config.monitor in metrics:
        module.lr_scheduler_step(config.scheduler, metrics[config.monitor])
    elif config.strict:
        raise CuelightError(
            f"ReduceLROnPlateau monitors {config.monitor}, which was not logged."
            f"{did_you_mean(str(config.monitor), metrics)} Logged metrics: {', '.join(metrics) or 'none'}."
        )
