"""Gradients that wait for the rest of their batches, kept in a checkpoint that is saved in between."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

import lightning.pytorch as pl
import torch
from torch import Tensor

_KEY = "accumulated_gradients"


def save_gradients(trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]) -> None:
    """Put the gradients of the batches since the last optimizer step into a checkpoint.

    Lightning leaves them out, so that a training that is resumed between two batches of ``accumulate_grad_batches``
    would make the next step without them. Of several processes the mean is saved, which is what they step with.

    Args:
        trainer: The trainer; with manual optimization nothing is saved, because only the module knows its steps.
        pl_module: The module; its sharded parameters are left out.
        checkpoint: What is about to be saved.
    """
    if _KEY in checkpoint or not _step_is_pending(trainer, pl_module):
        return
    trainable = {
        name: parameter
        for name, parameter in pl_module.named_parameters()
        if parameter.requires_grad and not hasattr(parameter, "to_local")
    }
    if trainer.world_size > 1 and sys.exc_info()[0] is not None:
        return  # the other processes may be anywhere, so nothing can be asked of them
    if trainer.world_size > 1:
        checkpoint[_KEY] = {name: _mean_gradient(trainer, parameter) for name, parameter in trainable.items()}
    else:
        gradients = {name: parameter.grad for name, parameter in trainable.items()}
        checkpoint[_KEY] = {name: gradient for name, gradient in gradients.items() if gradient is not None}


def saved_gradients(checkpoint: Mapping[str, Any]) -> dict[str, Tensor]:
    """Find the gradients in a checkpoint.

    Args:
        checkpoint: What was loaded.

    Returns:
        The gradients by the names of their parameters; empty if no optimizer step was pending.
    """
    return dict(checkpoint.get(_KEY, {}))


def restore_gradients(pl_module: pl.LightningModule, gradients: Mapping[str, Tensor]) -> None:
    """Give a module the gradients that a checkpoint had.

    Args:
        pl_module: The module, on its device.
        gradients: What ``saved_gradients`` found.
    """
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
