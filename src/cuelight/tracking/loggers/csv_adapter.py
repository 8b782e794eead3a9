"""Adapter of Lightning's ``CSVLogger``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from lightning.pytorch.loggers import CSVLogger
from numpy.typing import NDArray

from cuelight.tracking.logger_adapter import adapter_of
from cuelight.tracking.loggers.folder import Folder


class CSVAdapter(Folder):
    """Logs metrics and hyperparameters only; images, text and tables are in the run directory anyway."""

    name = "CSV"

    def __init__(self, logger: CSVLogger) -> None:
        super().__init__(logger.log_dir)
        self._logger = logger

    def log_metrics(self, metrics: Mapping[str, float], step: int) -> None:
        """Write metrics to the file."""
        self._logger.log_metrics(dict(metrics), step)
        self._logger.save()

    def log_image(self, name: str, image: NDArray[np.uint8], step: int, caption: str = "") -> None:
        """Do nothing."""

    def log_text(self, name: str, text: str, step: int) -> None:
        """Do nothing."""

    def log_table(self, name: str, columns: Sequence[str], rows: Sequence[Sequence[Any]], step: int) -> None:
        """Do nothing."""

    def log_hyperparams(self, params: Mapping[str, Any]) -> None:
        """Write hyperparameters to ``hparams.yaml``."""
        self._logger.log_hyperparams(dict(params))


adapter_of.register(CSVLogger, CSVAdapter)
