"""Lightning's Trainer for evaluation: one device, no checkpoints, and settings of the process are restored."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

import lightning.pytorch as pl
import torch
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.callbacks import ProgressBar
from lightning.pytorch.loggers import Logger
from lightning.pytorch.strategies import SingleDeviceStrategy

from cuelight.errors import ConfigError, Problem
from cuelight.utils.signals import signals_given_back

Split = Literal["test", "val", "train"]

_ACCELERATORS = {"cpu": "cpu", "cuda": "gpu", "mps": "mps"}
_CUBLAS = "CUBLAS_WORKSPACE_CONFIG"  # Lightning sets it for deterministic algorithms


@dataclass(frozen=True)
class EvaluatorSettings:
    """Device, precision and limits of an evaluation.

    Args:
        accelerator: Lightning's accelerator.
        devices: One device: 1 for any, or a list with its index.
        precision: Lightning's precision.
        deterministic: Whether to use deterministic algorithms only; ``warn`` where there is none.
        limit_batches: The largest number or share of batches for each split; all if left out.
        device: The device itself, if it is known.
    """

    accelerator: str = "auto"
    devices: int | list[int] = 1
    precision: Any = "32-true"
    deterministic: bool | Literal["warn"] = False
    limit_batches: Mapping[str, int | float] = field(default_factory=dict)
    device: torch.device | None = None


def settings_like(trainer: pl.Trainer) -> EvaluatorSettings:
    """Return settings with the device, precision and limits of a trainer."""
    device = trainer.strategy.root_device
    warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
    return EvaluatorSettings(
        accelerator=_ACCELERATORS.get(device.type, "auto"),
        precision=trainer.precision,
        deterministic="warn" if warn_only else torch.are_deterministic_algorithms_enabled(),
        limit_batches={
            "test": trainer.limit_test_batches,
            "val": trainer.limit_val_batches,
            "train": trainer.limit_train_batches,
        },
        device=device,
    )


@contextmanager
def evaluator(
    settings: EvaluatorSettings,
    view: Split = "test",
    callbacks: Sequence[pl.Callback] = (),
    loggers: Sequence[Logger] = (),
) -> Iterator[pl.Trainer]:
    """Yield a trainer for evaluation, which writes nothing; afterwards, settings of the process are restored.

    ``loggers`` are what the module finds as its loggers; see
    :func:`cuelight.tracking.loggers.readonly.readonly`.
    """
    with _process_settings_kept(), signals_given_back():
        yield make_trainer(
            accelerator=settings.accelerator,
            devices=settings.devices,
            strategy=SingleDeviceStrategy(device=settings.device) if settings.device else "auto",
            precision=settings.precision,
            deterministic=settings.deterministic,
            logger=list(loggers) or False,
            callbacks=list(callbacks),
            plugins=[LightningEnvironment()],  # ignores the processes of a distributed training
            enable_checkpointing=False,
            enable_progress_bar=any(isinstance(callback, ProgressBar) for callback in callbacks),
            enable_model_summary=False,
            limit_val_batches=settings.limit_batches.get(view),
            limit_test_batches=settings.limit_batches.get(view),
        )


def make_trainer(**settings: Any) -> pl.Trainer:
    """Create a Trainer of Lightning.

    Raises:
        ConfigError: This machine does not support the settings.
    """
    try:
        return pl.Trainer(**settings)
    except (MisconfigurationException, TypeError, ValueError) as error:
        said = " ".join(str(error).split()) or type(error).__name__
        advice = (
            "Set accelerator, devices, strategy and precision to what this machine supports, or set "
            "accelerator: auto and devices: auto."
        )
        raise ConfigError([Problem(f"Lightning rejects these settings: {said} {advice}", path="trainer")]) from error


@contextmanager
def _process_settings_kept() -> Iterator[None]:
    """Restore what a trainer sets, and suppress Lightning's report of the hardware, which it repeats for each one."""
    library = logging.getLogger("lightning.pytorch.utilities.rank_zero")
    level = library.level
    deterministic = torch.are_deterministic_algorithms_enabled()
    warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
    benchmark = torch.backends.cudnn.benchmark
    cublas = os.environ.get(_CUBLAS)
    library.setLevel(logging.WARNING)
    try:
        yield
    finally:
        library.setLevel(level)
        torch.use_deterministic_algorithms(deterministic, warn_only=warn_only)
        torch.backends.cudnn.benchmark = benchmark
        if cublas is None:
            os.environ.pop(_CUBLAS, None)
