"""ReduceLROnPlateau that a resume does not disturb."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import lightning.pytorch as pl
from lightning.pytorch.utilities.types import LRSchedulerConfig

from cuelight.errors import CuelightError, did_you_mean


class StepOnPlateau(pl.Callback):
    """Steps ``ReduceLROnPlateau`` right after each validation, before any checkpoint of it is saved.

    Lightning steps it after the checkpoints of the epoch were saved, and not at all in the epoch from which a
    training is resumed, so that a resumed training had another learning rate than one that was never interrupted.
    Schedulers that watch a metric of the training, with a name that begins with ``train``, are stepped at the end of
    the epoch. Others, and those with ``interval="step"``, are left alone.

    Its place is before the callbacks that save checkpoints.

    Raises:
        CuelightError: After a validation in which the watched metric was not logged.
    """

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Keep Lightning from stepping them as well."""
        for config in _watching(trainer):
            config.frequency = sys.maxsize

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Step those that watch the validation."""
        if trainer.state.fn != "fit" or trainer.sanity_checking:
            return
        for config in _watching(trainer):
            if not _watches_training(config):
                _step(trainer, pl_module, config)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Step those that watch the training."""
        for config in _watching(trainer):
            if _watches_training(config):
                _step(trainer, pl_module, config)


def _watching(trainer: pl.Trainer) -> Iterator[LRSchedulerConfig]:
    for config in trainer.lr_scheduler_configs:
        if config.reduce_on_plateau and config.interval == "epoch":
            yield config


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
