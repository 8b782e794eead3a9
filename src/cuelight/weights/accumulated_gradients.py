"""Accumulated gradients in checkpoints that are saved between two optimizer steps."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

import lightning.pytorch as pl
import torch
from torch import Tensor

_KEY = "accumulated_gradients"


def save_gradients(trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]) -> None:
    """Add the gradients since the last optimizer step to a checkpoint.

    Lightning does not save them, so a training resumed between two batches of ``accumulate_grad_batches`` would make
    the next step without them. With several processes the mean is saved, which the step uses. Nothing is saved with
    manual optimization, whose steps only the module knows, nor for sharded parameters.
    """
    if _KEY in checkpoint or not _step_is_pending(trainer, pl_module):
        return
    trainable = {
        name: parameter
        for name, parameter in pl_module.named_parameters()
        if parameter.requires_grad and not hasattr(parameter, "to_local")
    }
    if trainer.world_size > 1 and sys.exc_info()[0] is not None:
        return  # after an exception the other processes may not take part in a collective operation
    if trainer.world_size > 1:
        checkpoint[_KEY] = {name: _mean_gradient(trainer, parameter) for name, parameter in trainable.items()}
    else:
        gradients = {name: parameter.grad for name, parameter in trainable.items()}
        checkpoint[_KEY] = {name: gradient for name, gradient in gradients.items() if gradient is not None}


def saved_gradients(checkpoint: Mapping[str, Any]) -> dict[str, Tensor]:
    """Return the gradients in a checkpoint by the names of their parameters; empty if no step was pending."""
    return dict(checkpoint.get(_KEY, {}))


def restore_gradients(pl_module: pl.LightningModule, gradients: Mapping[str, Tensor]) -> None:
    """Set the gradients from :func:`saved_gradients` in a module that is on its device."""
    for name, parameter in pl_module.named_parameters():
        if name in gradients:
            parameter.grad = gradients[name].to(parameter, copy=True)


def _step_is_pending(trainer: pl.Trainer, pl_module: pl.LightningModule) -> bool:
    loop = trainer.fit_loop.epoch_loop
    batches = loop.batch_progress
    between_batches = batches.current.ready == batches.current.processed  # type: ignore[attr-defined]
    window_is_open = batches.current.ready % trainer.accumulate_grad_batches != 0 and not batches.is_last_batch
    return pl_module.automatic_optimization and between_batches and window_is_open


def _mean_gradient(trainer: pl.Trainer, parameter: Tensor) -> Tensor:
    gradient = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad.clone()
    mean: Tensor = trainer.strategy.reduce(gradient, reduce_op="mean")
    return mean
