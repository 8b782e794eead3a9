"""A run opened again after its training: what the steps after a training work with, made from its files."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.loggers import Logger

from cuelight.building import build_data, build_model
from cuelight.config import Config
from cuelight.data.description import describe_data, saved_description
from cuelight.errors import CheckpointError, DataError
from cuelight.plan import main_metric
from cuelight.train_end.finished_training import FinishedTraining
from cuelight.trainer import evaluator_settings, take_model_callbacks
from cuelight.weights.best import BestCheckpoint, kept_in
from cuelight.weights.checkpoint_io import load_checkpoint
from cuelight.weights.resuming import LAST_CHECKPOINT

logger = logging.getLogger(__name__)


def reopen(
    config: Config, directory: Path, checkpoints: Path | None, loggers: Sequence[Logger] = (), step: int = 0
) -> FinishedTraining:
    """Describe a run that was trained before.

    Args:
        config: Its configuration.
        directory: Where results go: the run directory.
        checkpoints: The folder of its checkpoints; ``None`` for a checkpoint that is in no run directory.
        loggers: Where results are sent.
        step: The number of optimizer steps that were done.

    Returns:
        What the steps after a training work with.
    """
    data = build_data(config)
    metric = main_metric(config)
    return FinishedTraining(
        directory=directory,
        make_module=lambda content: _empty_model(config, data, content),
        kept=lambda: kept_checkpoints(checkpoints) if checkpoints else [],
        name=config.name,
        data=data,
        main_metric=metric[0] if metric else None,
        exporter=config.exporter,
        settings=evaluator_settings(config.trainer),
        loggers=loggers,
        step=step,
    )


def kept_checkpoints(folder: Path) -> list[BestCheckpoint]:
    """List the best checkpoints of a run.

    Args:
        folder: Its checkpoint folder.

    Returns:
        Those that ``last.ckpt`` knows of; where that cannot be read, those that the newest other file knows of.
    """
    files = sorted(folder.glob("*.ckpt"), key=lambda file: (file.name == LAST_CHECKPOINT, file.stat().st_mtime))
    states = (_callback_states(file) for file in reversed(files))
    return kept_in(next((found for found in states if found is not None), {}), folder)


def _callback_states(file: Path) -> Mapping[str, Mapping[str, Any]] | None:
    try:
        found: Mapping[str, Mapping[str, Any]] | None = load_checkpoint(file).get("callbacks")
    except CheckpointError as error:
        logger.warning("%s", error)
        return None
    return found


def _empty_model(config: Config, data: pl.LightningDataModule, content: Mapping[str, Any]) -> pl.LightningModule:
    try:
        described = describe_data(data)
    except DataError:  # the data is not on this machine, and need not be
        saved = saved_description(content)
        if saved is None:
            raise
        described = saved
    model = build_model(config, described, fresh=False)
    take_model_callbacks(model)  # they belong to the training; fresh ones would know nothing of it
    return model.eval()
