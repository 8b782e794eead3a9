"""The weights with which a training begins, and those that it leaves alone."""

from __future__ import annotations

import logging
from pathlib import Path

import lightning.pytorch as pl

from cuelight.config import Config
from cuelight.errors import CheckpointError, ConfigError, Problem
from cuelight.runs.reopen import kept_checkpoints
from cuelight.training.freezing import freeze_for_training
from cuelight.utils.run_directory import CHECKPOINT_FOLDER, CONFIG_FILE, is_first_process
from cuelight.weights.best import best_checkpoint, main_metric
from cuelight.weights.initial import load_what_fits, read_weights

logger = logging.getLogger(__name__)

_PATH = "model.init_from"


def prepare_weights(model: pl.LightningModule, config: Config, is_new: bool) -> None:
    """Load the weights of ``model.init_from`` into a new model, and freeze what ``model.freeze`` names.

    Raises:
        ConfigError: If no weight fits, or a pattern matches nothing.
    """
    if config.model.init_from and is_new:
        source = Path(config.model.init_from)
        try:
            file = _best_of(source, model) if source.is_dir() else source
            lines = load_what_fits(model, read_weights(file), file)
        except CheckpointError as error:
            raise ConfigError([Problem(str(error), _PATH)]) from error
        for line in lines if is_first_process() else ():
            logger.info(line)
    freeze_for_training(model, config.model.freeze)


def _best_of(directory: Path, model: pl.LightningModule) -> Path:
    """Return the best checkpoint of a run directory."""
    if not (directory / CONFIG_FILE).is_file():
        raise CheckpointError(f"{directory}: this is no run directory. Expected one, or a file with weights.")
    best = best_checkpoint(kept_checkpoints(directory / CHECKPOINT_FOLDER), main_metric=main_metric(model))
    if best is None:
        raise CheckpointError(f"{directory}: this run has no best checkpoint. Name the file of a checkpoint.")
    return best.path
