"""Lightning's Trainer as an evaluator: one device, no checkpoints, and nothing changed that was there before."""

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
_CUBLAS = "CUBLAS_WORKSPACE_CONFIG"  # Lightning sets it where algorithms shall be deterministic


@dataclass(frozen=True)
class EvaluatorSettings:
    """On what a model is measured.

    Args:
        accelerator: Lightning's accelerator.
        devices: One device: 1 for any, or a list with its index.
        precision: Lightning's precision.
        deterministic: Only deterministic algorithms.
        limit_batches: How many batches of a view at most, or which share of them; all if left out.
        device: The device itself, if it is known.
    """

    accelerator: str = "auto"
    devices: int | list[int] = 1
    precision: Any = "32-true"
    deterministic: bool | Literal["warn"] = False
    limit_batches: Mapping[str, int | float] = field(default_factory=dict)
    device: torch.device | None = None


def settings_like(trainer: pl.Trainer) -> EvaluatorSettings:
    """Measure as a trainer trains: on its device, with its precision.

    Args:
        trainer: The trainer of the training.

    Returns:
        The settings.
    """
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
    """Make a trainer that evaluates, for as long as it is needed.

    Args:
        settings: On what.
        view: Which split of the data.
        callbacks: What shows the progress, and nothing that changes or saves anything.
        loggers: What the module finds as its loggers; see :func:`cuelight.tracking.loggers.readonly.readonly`.

    Yields:
        A trainer that writes nothing. What a trainer sets for the whole process is then as before.
    """
    with _quiet_lightning(), _process_settings_kept(), signals_given_back():
        yield make_trainer(
            accelerator=settings.accelerator,
            devices=settings.devices,
            strategy=SingleDeviceStrategy(device=settings.device) if settings.device else "auto",
            precision=settings.precision,
            deterministic=settings.deterministic,
            logger=list(loggers) or False,
            callbacks=list(callbacks),
            plugins=[LightningEnvironment()],  # the processes of a distributed training are none of its business
            enable_checkpointing=False,
            enable_progress_bar=any(isinstance(callback, ProgressBar) for callback in callbacks),
            enable_model_summary=False,
            limit_val_batches=settings.limit_batches.get(view),
            limit_test_batches=settings.limit_batches.get(view),
        )


def make_trainer(**settings: Any) -> pl.Trainer:
    """Make a trainer of Lightning's.

    Args:
        settings: Its arguments.

    Returns:
        The trainer.

    Raises:
        ConfigError: If this machine cannot do what they ask for.
    """
    try:
        return pl.Trainer(**settings)
    except (MisconfigurationException, TypeError, ValueError) as error:
        said = " ".join(str(error).split()) or type(error).__name__
        advice = (
            "Set accelerator, devices, strategy and precision to what this machine has; accelerator: auto with "
            "devices: auto takes what is there."
        )
        raise ConfigError([Problem(f"Lightning refuses these settings: {said} {advice}", path="trainer")]) from error


@contextmanager
def _process_settings_kept() -> Iterator[None]:
    deterministic = torch.are_deterministic_algorithms_enabled()
    warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
    benchmark = torch.backends.cudnn.benchmark
    cublas = os.environ.get(_CUBLAS)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(deterministic, warn_only=warn_only)
        torch.backends.cudnn.benchmark = benchmark
        if cublas is None:
            os.environ.pop(_CUBLAS, None)


@contextmanager
def _quiet_lightning() -> Iterator[None]:
    """Lightning reports the hardware for every trainer; of this one nobody needs to know."""
    library = logging.getLogger("lightning.pytorch.utilities.rank_zero")
    level = library.level
    library.setLevel(logging.WARNING)
    try:
        yield
    finally:
        library.setLevel(level)
