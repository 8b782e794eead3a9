"""The Lightning loggers of a run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import Logger, TensorBoardLogger

from cuelight.config.schema import TrackerConfig
from cuelight.tracking.resumable_csv import ResumableCSVLogger


def build_loggers(config: TrackerConfig, directory: Path, resumed_from: int | None = None) -> list[Logger]:
    """Make the loggers that a file asks for; all write into the run directory itself.

    Args:
        config: The ``tracker`` section.
        directory: The run directory.
        resumed_from: The step at which training goes on, 0 where it starts again in its directory: what was logged
            from that step on is logged anew and replaced.

    Returns:
        One logger for each tracker that is switched on.
    """
    loggers: list[Logger] = []
    if config.tensorboard:
        place: dict[str, Any] = {"save_dir": directory, "name": "", "version": ""}
        loggers.append(TensorBoardLogger(**place, default_hp_metric=False, purge_step=resumed_from))
    if config.csv:
        loggers.append(ResumableCSVLogger(directory, resumed_from))
    return loggers
