"""A training that has just ended, in anyone's trainer."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.strategies import DeepSpeedStrategy, FSDPStrategy, ModelParallelStrategy
from lightning.pytorch.utilities.model_helpers import is_overridden

from cuelight.config.schema import ExporterConfig
from cuelight.evaluation.evaluator import settings_like
from cuelight.train_end.finished_training import FinishedTraining
from cuelight.weights.best import kept_by
from cuelight.weights.clean_copy import clean_copy


class LoadersAsData(pl.LightningDataModule):
    """The loaders that a trainer or a module has, where there is no data module.

    Args:
        trainer: The trainer.
        module: Its module.
    """

    def __init__(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        super().__init__()
        self._loaders = {"train": trainer.train_dataloader, "val": trainer.val_dataloaders}
        if is_overridden("test_dataloader", module):
            self._loaders["test"] = module.test_dataloader()

    @property
    def split_names(self) -> list[str]:
        """The splits that there are."""
        return [name for name, loader in self._loaders.items() if loader is not None]

    def train_dataloader(self) -> Any:
        """The loader of the training."""
        return self._loaders["train"]

    def val_dataloader(self) -> Any:
        """The loader of the validation."""
        return self._loaders["val"]

    def test_dataloader(self) -> Any:
        """The loader of the test."""
        return self._loaders["test"]


def is_spread_out(trainer: pl.Trainer) -> bool:
    """Tell whether no process has the whole module, so that it cannot be copied while the trainer holds it.

    Args:
        trainer: The trainer.

    Returns:
        Whether its strategy spreads the weights over the devices.
    """
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
    metric = getattr(module, "main_metric", None)
    described = dict(module.hparams)
    return FinishedTraining(
        directory=Path(trainer.default_root_dir),
        make_module=lambda _: clean_copy(module, shared),
        kept=lambda: kept_by([callback for callback in callbacks if isinstance(callback, ModelCheckpoint)]),
        name=str(described.get("name") or type(module).__name__),
        data=data,
        main_metric=f"val/{metric}" if metric else None,
        exporter=_exporter(described.get("exporter")),
        settings=settings_like(trainer),
        loggers=list(trainer.loggers),
        step=trainer.global_step,
    )


def _exporter(section: Any) -> ExporterConfig:
    return ExporterConfig(**section) if isinstance(section, Mapping) else ExporterConfig()
