"""A training that has just ended, in anyone's trainer."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.strategies import DeepSpeedStrategy, FSDPStrategy, ModelParallelStrategy
from lightning.pytorch.utilities.model_helpers import is_overridden
from pydantic import ValidationError

from cuelight.config.schema import ExporterConfig
from cuelight.evaluation.evaluator import settings_like
from cuelight.train_end.finished_training import FinishedTraining
from cuelight.weights.best import from_callbacks, main_metric
from cuelight.weights.clean_copy import clean_copy

logger = logging.getLogger(__name__)


class LoadersAsData(pl.LightningDataModule):
    """The loaders that a trainer was given, or that its module has, where there is no data module.

    They are asked for anew: those that the trainer itself uses may see a part of the data only, one for each process.

    Args:
        trainer: The trainer.
        module: Its module.
    """

    def __init__(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        super().__init__()
        self._train = trainer.fit_loop._data_source  # noqa: SLF001 - where Lightning keeps what it was given
        self._val = trainer.fit_loop.epoch_loop.val_loop._data_source  # noqa: SLF001
        self._module = module

    @property
    def split_names(self) -> list[str]:
        """The splits that there are."""
        there_is = {
            "train": self._train.is_defined(),
            "val": self._val.is_defined(),
            "test": is_overridden("test_dataloader", self._module),
        }
        return [name for name, there in there_is.items() if there]

    def train_dataloader(self) -> Any:
        """The loader of the training."""
        return self._train.dataloader()

    def val_dataloader(self) -> Any:
        """The loader of the validation."""
        return self._val.dataloader()

    def test_dataloader(self) -> Any:
        """The loader of the test."""
        return self._module.test_dataloader()


def is_sharded(trainer: pl.Trainer) -> bool:
    """Return whether no process has the whole module, so that it cannot be copied while the trainer holds it."""
    return isinstance(trainer.strategy, (FSDPStrategy, ModelParallelStrategy, DeepSpeedStrategy))


def finished_by(trainer: pl.Trainer, module: pl.LightningModule) -> FinishedTraining:
    """Describe the training that a trainer has just ended.

    Args:
        trainer: The trainer; nothing of it is changed.
        module: Its module. Where ``hparams`` hold a configuration, its ``name`` and ``exporter`` are used.

    Returns:
        What the steps after it work with.
    """
    data = getattr(trainer, "datamodule", None) or LoadersAsData(trainer, module)
    callbacks: list[pl.Callback] = trainer.callbacks  # type: ignore[attr-defined]  # Lightning declares it nowhere
    shared = [trainer, data, *trainer.loggers, *callbacks]
    metric = main_metric(module)
    described = dict(module.hparams)
    return FinishedTraining(
        directory=Path(trainer.default_root_dir),
        make_module=lambda _: clean_copy(module, shared),
        kept=lambda: from_callbacks([callback for callback in callbacks if isinstance(callback, ModelCheckpoint)]),
        name=str(described.get("name") or type(module).__name__),
        data=data,
        main_metric=metric,
        exporter=_exporter(described.get("exporter")),
        settings=settings_like(trainer),
        loggers=list(trainer.loggers),
        step=trainer.global_step,
    )


def _exporter(section: Any) -> ExporterConfig:
    if not isinstance(section, Mapping):
        return ExporterConfig()
    try:
        return ExporterConfig(**section)
    except ValidationError:
        logger.warning("hparams contain an `exporter` that is not a valid exporter section: it is ignored.")
        return ExporterConfig()
