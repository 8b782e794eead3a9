"""A run opened again after its training: what the steps after a training work with, made from its files."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.loggers import Logger
from torch import Tensor

from cuelight.config import Config
from cuelight.data.spec import DataSpec, data_spec_of, saved_spec
from cuelight.errors import CheckpointError, DataError
from cuelight.runs.build import build_data, build_model, model_class
from cuelight.runs.trainer import evaluator_settings, take_model_callbacks
from cuelight.train_end.finished_training import FinishedTraining
from cuelight.weights.best import BestCheckpoint, from_states, main_metric
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
    metric = main_metric(model_class(config))
    return FinishedTraining(
        directory=directory,
        make_module=lambda content: _empty_model(config, data, content),
        kept=cache(partial(kept_checkpoints, checkpoints)),
        name=config.name,
        data=data,
        main_metric=metric,
        exporter=config.exporter,
        settings=evaluator_settings(config.trainer),
        loggers=loggers,
        step=step,
    )


def model_and_example(config: Config, content: Mapping[str, Any]) -> tuple[pl.LightningModule, Tensor | None]:
    """Make the module of a configuration with any weights, and a batch that it takes.

    Args:
        config: A checked configuration.
        content: What a checkpoint of it holds, if there is one: it describes the data where that is not.

    Returns:
        The module, in evaluation; and its ``example_input_array``, or without one an image of zeros, or ``None`` if
        the data does not tell the shape of its images.
    """
    described = _describe(build_data(config), content)
    model = _model_for(config, described)
    example = model.example_input_array
    if isinstance(example, Tensor):
        return model, example
    if described.channels is None or described.size is None:
        return model, None
    return model, torch.zeros(1, described.channels, *described.size)


def kept_checkpoints(folder: Path | None) -> list[BestCheckpoint]:
    """List the best checkpoints of a run.

    Args:
        folder: Its checkpoint folder, if it has one.

    Returns:
        Those that ``last.ckpt`` knows of; where that cannot be read, those that the newest other file knows of.
    """
    if folder is None:
        return []
    files = sorted(folder.glob("*.ckpt"), key=lambda file: (file.name == LAST_CHECKPOINT, file.stat().st_mtime))
    states = (_callback_states(file) for file in reversed(files))
    return from_states(next((found for found in states if found is not None), {}), folder)


def _callback_states(file: Path) -> Mapping[str, Mapping[str, Any]] | None:
    try:
        found: Mapping[str, Mapping[str, Any]] | None = load_checkpoint(file, mmap=True).get("callbacks")
    except CheckpointError as error:
        logger.warning("%s", error)
        return None
    return found


def _empty_model(config: Config, data: pl.LightningDataModule, content: Mapping[str, Any]) -> pl.LightningModule:
    return _model_for(config, _describe(data, content))


def _describe(data: pl.LightningDataModule, content: Mapping[str, Any]) -> DataSpec:
    try:
        return data_spec_of(data)
    except DataError:  # the data is not on this machine, and need not be
        saved = saved_spec(content)
        if saved is None:
            raise
        return saved


def _model_for(config: Config, described: DataSpec) -> pl.LightningModule:
    model = build_model(config, described, fresh=False)
    take_model_callbacks(model)  # they belong to the training; fresh ones would know nothing of it
    return model.eval()
