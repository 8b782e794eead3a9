"""The finished training of a trainer."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import lightning.pytorch as pl
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.strategies import DeepSpeedStrategy, FSDPStrategy, ModelParallelStrategy
from lightning.pytorch.utilities.model_helpers import is_overridden

from cuelight.config.checking import check_section
from cuelight.config.schema import ExporterConfig
from cuelight.evaluation.evaluator import settings_like
from cuelight.train_end.finished_training import FinishedTraining
from cuelight.utils.environment import fill_in
from cuelight.utils.trainer_callbacks import callbacks_of
from cuelight.weights.best import from_callbacks, main_metric, why_none
from cuelight.weights.clean_copy import clean_copy
from cuelight.weights.resuming import logging_step

logger = logging.getLogger(__name__)

_CONVERTED = {"16-true", "bf16-true", "64-true"}


class LoadersAsData(pl.LightningDataModule):
    """The dataloaders of a trainer without a data module.

    They are created again, because the trainer's own may have a distributed sampler, which sees a part of the data.
    """

    def __init__(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        super().__init__()
        self._train = trainer.fit_loop._data_source  # noqa: SLF001 - where Lightning keeps what it was given
        self._val = trainer.fit_loop.epoch_loop.val_loop._data_source  # noqa: SLF001
        self._module = module

    @property
    def split_names(self) -> list[str]:
        """The splits that have a dataloader."""
        defined = {
            "train": self._train.is_defined(),
            "val": self._val.is_defined(),
            "test": is_overridden("test_dataloader", self._module),
        }
        return [name for name, is_defined in defined.items() if is_defined]

    def train_dataloader(self) -> Any:
        """Return the training dataloader."""
        return self._train.dataloader()

    def val_dataloader(self) -> Any:
        """Return the validation dataloader."""
        return self._val.dataloader()

    def test_dataloader(self) -> Any:
        """Return the test dataloader."""
        return self._module.test_dataloader()


def is_sharded(trainer: pl.Trainer) -> bool:
    """Return whether the strategy shards the module: no process has all weights, so it cannot be copied."""
    return isinstance(trainer.strategy, (FSDPStrategy, ModelParallelStrategy, DeepSpeedStrategy))


def finished_by(trainer: pl.Trainer, module: pl.LightningModule, directory: Path) -> FinishedTraining:
    """Describe the finished training of a trainer, which is not changed.

    The ``name`` and ``exporter`` come from the ``hparams`` of the module, if they hold a configuration.
    """
    data = getattr(trainer, "datamodule", None) or LoadersAsData(trainer, module)
    callbacks = callbacks_of(trainer)
    checkpoints = [callback for callback in callbacks if isinstance(callback, ModelCheckpoint)]
    shared = [trainer, data, *trainer.loggers, *callbacks]
    hparams, _, _ = fill_in({key: value for key, value in module.hparams.items() if key in ("name", "exporter")})
    return FinishedTraining(
        directory=directory,
        make_module=lambda _: _in_single_precision(clean_copy(module, shared), str(trainer.precision)),
        kept=lambda: from_callbacks(checkpoints),
        why_none=lambda: why_none(callback.state_dict() for callback in checkpoints),
        name=str(hparams.get("name") or type(module).__name__),
        data=data,
        main_metric=main_metric(module),
        exporter=_exporter(hparams.get("exporter")),
        settings=settings_like(trainer),
        loggers=list(trainer.loggers),
        step=logging_step(trainer),
    )


def _in_single_precision(module: pl.LightningModule, precision: str) -> pl.LightningModule:
    """Convert a module that Lightning had converted; one that has parts of other types by itself stays as it is."""
    return module.float() if precision in _CONVERTED else module


def _exporter(section: Any) -> ExporterConfig:
    if not isinstance(section, Mapping):
        return ExporterConfig()
    options, problems = check_section("exporter", section)
    if problems:
        logger.warning("hparams contain an `exporter` that is not a valid exporter section: it is ignored.")
    return cast("ExporterConfig", options) if options else ExporterConfig()
