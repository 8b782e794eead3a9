"""Lightning's Trainer, with its callbacks in the given order."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import Checkpoint, ModelCheckpoint, ProgressBar
from lightning.pytorch.loggers import Logger

from cuelight.config.schema import TrainerConfig
from cuelight.evaluation.evaluator import EvaluatorSettings, make_trainer
from cuelight.utils.run_directory import CHECKPOINT_FOLDER
from cuelight.weights.checkpoint_io import AtomicCheckpointIO


def build_trainer(
    config: TrainerConfig,
    callbacks: Sequence[pl.Callback],
    loggers: Sequence[Logger],
    directory: Path,
    checkpoint_io: AtomicCheckpointIO | None = None,
) -> pl.Trainer:
    """Build the trainer of a run. Its ``callbacks`` are exactly those given, in their order.

    Raises ``ConfigError`` if this machine cannot do what the section asks for.
    """
    fraction = config.validation_interval if isinstance(config.validation_interval, float) else None
    trainer = make_trainer(
        accelerator=config.accelerator,
        devices=config.devices,
        num_nodes=config.num_nodes,
        strategy=config.strategy,
        precision=config.precision,
        max_epochs=config.epochs,
        accumulate_grad_batches=config.accumulate_grad_batches,
        gradient_clip_val=config.gradient_clip_val,
        check_val_every_n_epoch=1 if fraction else int(config.validation_interval),
        val_check_interval=fraction,
        deterministic=config.deterministic,
        log_every_n_steps=config.log_every_n_steps,
        default_root_dir=directory,
        logger=list(loggers) or False,
        callbacks=list(callbacks),
        plugins=[checkpoint_io or AtomicCheckpointIO()],
        enable_checkpointing=any(isinstance(callback, Checkpoint) for callback in callbacks),
        enable_progress_bar=any(isinstance(callback, ProgressBar) for callback in callbacks),
        enable_model_summary=False,
    )
    # Lightning moves checkpoint and tuner callbacks and adds those of installed plug-ins; here the list is as given.
    trainer.callbacks = list(callbacks)  # type: ignore[attr-defined]  # Lightning declares it nowhere
    for callback in callbacks:
        if isinstance(callback, ModelCheckpoint) and callback.dirpath is None:  # else in a folder of the first logger
            callback.dirpath = str(directory / CHECKPOINT_FOLDER)
    return trainer


def evaluator_settings(config: TrainerConfig) -> EvaluatorSettings:
    """Return the settings for a measurement outside of the training, on one device."""
    return EvaluatorSettings(
        accelerator=config.accelerator,
        devices=_evaluation_devices(config),
        precision=config.precision,
        deterministic=config.deterministic,
    )


def _evaluation_devices(config: TrainerConfig) -> int | list[int]:
    """Return the device if a single one is named; else 1, also on the CPU, which has no indices."""
    on_cpu = config.accelerator == "cpu" or (config.accelerator == "auto" and not torch.cuda.is_available())
    if isinstance(config.devices, list) and len(config.devices) == 1 and not on_cpu:
        return config.devices
    return 1


def take_model_callbacks(module: pl.LightningModule) -> list[pl.Callback]:
    """Return the callbacks of ``configure_callbacks``, which returns an empty list from now on.

    Lightning would add them at every fit and test, replace those of the same type, and reorder all.
    """
    brought = module.configure_callbacks()
    module.configure_callbacks = list  # type: ignore[method-assign]
    return list(brought) if isinstance(brought, Sequence) else [brought]
