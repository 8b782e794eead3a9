"""The Lightning loggers of a run."""

from __future__ import annotations

from pathlib import Path

from lightning.pytorch.loggers import Logger, TensorBoardLogger

from cuelight.config.schema import TrackerConfig
from cuelight.tracking.resumable_csv import ResumableCSVLogger


def build_loggers(config: TrackerConfig, directory: Path, resumed_from: int | None = None) -> list[Logger]:
    """Make the loggers that a file asks for; all write into the run directory itself.

    Args:
        config: The ``tracker`` section.
        directory: The run directory.
        resumed_from: The step of the checkpoint from which training goes on, if it does.

    Returns:
        One logger for each tracker that is switched on.
    """
    loggers: list[Logger] = []
    if config.tensorboard:
        loggers.append(TensorBoardLogger(save_dir=directory, name="", version="", default_hp_metric=False))
    if config.csv:
        loggers.append(ResumableCSVLogger(directory, resumed_from))
    return loggers
