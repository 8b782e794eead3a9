"""The adapter of ``BackgroundMLFlowLogger``, which queues."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from lightning.pytorch.utilities import rank_zero_only
from numpy.typing import NDArray

from cuelight.tracking.logger_adapter import adapter_of
from cuelight.tracking.loggers.mlflow_adapter import MLflowAdapter
from cuelight.tracking.loggers.mlflow_logger import BackgroundMLFlowLogger


class BackgroundAdapter(MLflowAdapter):
    """Queues everything, except a file that is to be waited for."""

    _logger: BackgroundMLFlowLogger

    def log_metrics(self, metrics: Mapping[str, float], step: int) -> None:
        """Queue metrics."""
        self._logger.log_metrics(metrics, step)

    def log_image(self, name: str, image: NDArray[np.uint8], step: int, caption: str = "") -> None:
        """Queue a copy of an image."""
        payload = {"name": name, "step": step, "caption": caption, "file": "image.npy"}
        self._later(f"picture {name}", "image", payload, lambda file: np.save(file, image))

    def log_text(self, name: str, text: str, step: int) -> None:
        """Queue text."""
        self._later(f"text {name}", "text", {"name": name, "text": text, "step": step})

    def log_table(self, name: str, columns: Sequence[str], rows: Sequence[Sequence[Any]], step: int) -> None:
        """Queue a table."""
        payload = {"name": name, "columns": list(columns), "rows": [list(row) for row in rows], "step": step}
        self._later(f"table {name}", "table", payload)

    def log_hyperparams(self, params: Mapping[str, Any]) -> None:
        """Queue hyperparameters."""
        self._later("hyperparameters", "hyperparams", {"params": dict(params)})

    def log_artifact(self, file: Path, folder: str = "", aliases: Sequence[str] = (), *, wait: bool = True) -> str:
        """Send a file, or queue it."""
        if wait:
            return super().log_artifact(file, folder, aliases)
        payload = {"folder": folder, "file": file.name}
        self._later(f"file {file.name}", "artifact", payload, lambda copy: shutil.copyfile(file, copy))
        return "/".join(part for part in (self._logger.shown_uri, folder.strip("/"), file.name) if part)

    @rank_zero_only
    def _later(
        self, what: str, kind: str, payload: Mapping[str, Any], write: Callable[[Path], object] | None = None
    ) -> None:
        self._logger.outbox.add(what, kind, payload, write)


adapter_of.register(BackgroundMLFlowLogger, BackgroundAdapter)
