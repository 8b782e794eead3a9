"""A trained run, opened again from its files for the steps after the training."""

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
from cuelight.errors import CheckpointError
from cuelight.runs.build import build_data, build_model, model_class, with_class_counts
from cuelight.runs.trainer import evaluator_settings, take_model_callbacks
from cuelight.train_end.finished_training import FinishedTraining
from cuelight.utils.run_directory import LAST_CHECKPOINT
from cuelight.weights.best import BestCheckpoint, from_states, main_metric, why_none
from cuelight.weights.reading import load_checkpoint

logger = logging.getLogger(__name__)


def reopen(
    config: Config, directory: Path, checkpoints: Path | None, loggers: Sequence[Logger] = (), step: int = 0
) -> FinishedTraining:
    """Return what the steps after a training work with.

    Args:
        config: The configuration of the run.
        directory: Where results go: the run directory.
        checkpoints: The folder of its checkpoints; ``None`` for a checkpoint outside of any run directory.
        loggers: Where results are sent.
        step: The number of optimizer steps that were done.
    """
    data = build_data(config)
    metric = main_metric(model_class(config))
    return FinishedTraining(
        directory=directory,
        make_module=lambda content: _model_for(config, _describe(config, data, content)),
        kept=cache(partial(kept_checkpoints, checkpoints)),
        why_none=lambda: why_none(_last_states(checkpoints).values()) if checkpoints else None,
        name=config.name,
        data=data,
        main_metric=metric,
        exporter=config.exporter,
        settings=evaluator_settings(config.trainer),
        loggers=loggers,
        step=step,
    )


def model_and_example(config: Config, content: Mapping[str, Any]) -> tuple[pl.LightningModule, Tensor | None]:
    """Build the model in evaluation mode, with any weights, and a batch for it.

    The batch is its ``example_input_array`` or an image of zeros; ``None`` if the shape of the images is not known.
    ``content``, that of a checkpoint, describes data that is not on this machine; it may be empty.
    """
    described = _describe(config, build_data(config), content)
    model = _model_for(config, described)
    example = model.example_input_array
    if isinstance(example, Tensor):
        return model, example
    if described.channels is None or described.size is None:
        return model, None
    return model, torch.zeros(1, described.channels, *described.size)


def kept_checkpoints(folder: Path | None) -> list[BestCheckpoint]:
    """Return the best checkpoints of a run, as recorded in ``last.ckpt``, or else in the newest readable one."""
    if folder is None:
        return []
    return from_states(_last_states(folder), folder)


def _last_states(folder: Path) -> Mapping[str, Mapping[str, Any]]:
    files = sorted(folder.glob("*.ckpt"), key=lambda file: (file.name == LAST_CHECKPOINT, file.stat().st_mtime))
    states = (_callback_states(file) for file in reversed(files))
    return next((found for found in states if found is not None), {})


def _callback_states(file: Path) -> Mapping[str, Mapping[str, Any]] | None:
    try:
        found: Mapping[str, Mapping[str, Any]] | None = load_checkpoint(file, mmap=True).get("callbacks")
    except CheckpointError as error:
        logger.warning("%s", error)
        return None
    return found


def _describe(config: Config, data: pl.LightningDataModule, content: Mapping[str, Any]) -> DataSpec:
    """Return the spec of the data that the weights were trained with; that of other data could not be loaded."""
    return with_class_counts(saved_spec(content) or data_spec_of(data), config, data)


def _model_for(config: Config, described: DataSpec) -> pl.LightningModule:
    model = build_model(config, described, fresh=False)
    take_model_callbacks(model)  # new ones would not have the state of the training
    return model.eval()
