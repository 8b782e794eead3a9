"""Quiet trainers, and trainings that begin alike."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import Checkpoint

from support.tiny import TinyData, TinyModel


def quiet_trainer(folder: Path | None = None, callbacks: Sequence[pl.Callback] = (), **options: Any) -> pl.Trainer:
    """Make a trainer for one epoch on the CPU that shows nothing and writes nothing by itself.

    Args:
        folder: Its ``default_root_dir``.
        callbacks: Its callbacks, in order.
        **options: Other settings, as for ``Trainer``.
    """
    usual = {
        "accelerator": "cpu",
        "max_epochs": 1,
        "logger": False,
        "num_sanity_val_steps": 0,
        "enable_checkpointing": any(isinstance(callback, Checkpoint) for callback in callbacks),
        "enable_progress_bar": False,
        "enable_model_summary": False,
    }
    return pl.Trainer(default_root_dir=folder, callbacks=list(callbacks), **usual | options)


def fit(
    folder: Path | None = None,
    callbacks: Sequence[pl.Callback] = (),
    model: pl.LightningModule | Callable[[], pl.LightningModule] = TinyModel,
    data: Any = TinyData,
    resume: Path | None = None,
    **options: Any,
) -> tuple[pl.Trainer, Any]:
    """Train for two epochs after Lightning's usual sanity check, with the same random numbers each time.

    Args:
        folder: The ``default_root_dir`` of the trainer.
        callbacks: Its callbacks, in order.
        model: A module, or what makes one after the seed was set.
        data: A data module, its class, a loader, or None for the loaders of the module.
        resume: The checkpoint to go on from.
        **options: Other settings, as for ``Trainer``.

    Returns:
        The trainer and the module.
    """
    torch.manual_seed(0)
    module = model if isinstance(model, pl.LightningModule) else model()
    trainer = quiet_trainer(folder, callbacks, **{"max_epochs": 2, "num_sanity_val_steps": 2} | options)
    source = data() if isinstance(data, type) else data
    trainer.fit(module, source, ckpt_path=resume, weights_only=True)
    return trainer, module
