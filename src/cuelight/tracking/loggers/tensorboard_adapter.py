"""Adapter of Lightning's ``TensorBoardLogger``."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from lightning.pytorch.core.saving import save_hparams_to_yaml
from lightning.pytorch.loggers import TensorBoardLogger
from numpy.typing import NDArray
from PIL import Image
from tensorboard.compat.proto.summary_pb2 import Summary

from cuelight.tracking.logger_adapter import adapter_of
from cuelight.tracking.loggers.folder import Folder
from cuelight.tracking.loggers.tabular import as_markdown
from cuelight.utils.dot_paths import flattened

_QUALITY = 92


class TensorBoardAdapter(Folder):
    """Logs images, text and tables (as text) to the event file, and copies files to the logger's folder."""

    name = "TensorBoard"

    def __init__(self, logger: TensorBoardLogger) -> None:
        super().__init__(logger.log_dir)
        self._logger = logger

    def log_metrics(self, metrics: Mapping[str, float], step: int) -> None:
        """Log metrics."""
        self._logger.log_metrics(metrics, step)
        self._logger.save()

    def log_image(self, name: str, image: NDArray[np.uint8], step: int, caption: str = "") -> None:
        """Log an image as JPEG; TensorBoard shows no caption."""
        height, width, channels = image.shape
        encoded = io.BytesIO()
        # PNG, as in add_image, takes fifty times as long, and the training waits.
        Image.fromarray(image).save(encoded, "JPEG", quality=_QUALITY, subsampling=0)
        shown = Summary.Image(height=height, width=width, colorspace=channels, encoded_image_string=encoded.getvalue())
        written = Summary(value=[Summary.Value(tag=name, image=shown)])
        writer = self._logger.experiment
        if writer.file_writer is None:  # after the end of a training; add_image opens another file
            writer.add_image(name, image, step, dataformats="HWC")
        else:
            writer.file_writer.add_summary(written, step)

    def log_text(self, name: str, text: str, step: int) -> None:
        """Log text."""
        self._logger.experiment.add_text(name, text, step)

    def log_table(self, name: str, columns: Sequence[str], rows: Sequence[Sequence[Any]], step: int) -> None:
        """Log a table as text."""
        self.log_text(name, as_markdown(columns, rows), step)

    def log_hyperparams(self, params: Mapping[str, Any]) -> None:
        """Log to ``hparams.yaml``, and all hyperparameters so far as a text."""
        self._logger.log_hyperparams(dict(params))
        everything = flattened(dict(self._logger.hparams))
        self.log_table("hyperparameters", ["name", "value"], list(everything.items()), step=0)
        # Lightning writes this file once only, before most hyperparameters are known.
        save_hparams_to_yaml(f"{self._logger.log_dir}/{self._logger.NAME_HPARAMS_FILE}", self._logger.hparams)


adapter_of.register(TensorBoardLogger, TensorBoardAdapter)
