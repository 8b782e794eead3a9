"""Adapter of Lightning's ``WandbLogger``."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from lightning.pytorch.loggers import WandbLogger
from numpy.typing import NDArray

from cuelight.tracking.logger_adapter import adapter_of

if TYPE_CHECKING:
    from wandb import Artifact, Run

logger = logging.getLogger(__name__)

STEP = "trainer/global_step"  # the x axis of all curves of Lightning's logger
_LONGEST_NAME = 128


class WandbAdapter:
    """Logs to the run of the logger; each file becomes an artifact with versions."""

    name = "W&B"
    is_shared = False

    def __init__(self, logger: WandbLogger) -> None:
        self._logger = logger

    @property
    def place(self) -> str:
        """The URL of the run's page; a path if the run is offline."""
        run = self._run
        return f"wandb:/{run.project}/{run.id}" if run.offline else str(run.url)

    def log_metrics(self, metrics: Mapping[str, float], step: int) -> None:
        """Log metrics."""
        self._logger.log_metrics(metrics, step)

    def log_image(self, name: str, image: NDArray[np.uint8], step: int, caption: str = "") -> None:
        """Log an image."""
        import wandb  # noqa: PLC0415 - an optional dependency

        self._log(name, wandb.Image(image, caption=caption or None), step)

    def log_text(self, name: str, text: str, step: int) -> None:
        """Log text as a table of one cell."""
        self.log_table(name, ["text"], [[text]], step)

    def log_table(self, name: str, columns: Sequence[str], rows: Sequence[Sequence[Any]], step: int) -> None:
        """Log a table."""
        import wandb  # noqa: PLC0415

        table = wandb.Table(columns=list(columns), data=[list(row) for row in rows], allow_mixed_types=True)
        self._log(name, table, step)

    def log_hyperparams(self, params: Mapping[str, Any]) -> None:
        """Log hyperparameters, nested; earlier values are replaced."""
        self._logger.log_hyperparams(dict(params))

    def log_artifact(self, file: Path, folder: str = "", aliases: Sequence[str] = (), *, wait: bool = True) -> str:
        """Send a file as the newest version of its artifact.

        Online, ``wait`` waits for W&B, and removes earlier versions without an alias. Offline, all versions are staged
        for ``wandb sync``.
        """
        import wandb  # noqa: PLC0415

        run, place = self._run, self.place  # read once: reading them after the run has ended would reopen it
        kind = "model" if file.suffix in {".ckpt", ".onnx"} else "file"
        artifact = wandb.Artifact(self._artifact_name(file.name, folder), type=kind)
        artifact.add_file(str(file), name=file.name)
        run.log_artifact(artifact, aliases=["latest", *aliases])
        if wait and not run.offline:
            artifact.wait()
            _remove_earlier_versions(artifact)
        return f"{place}/{artifact.name}"

    def delete_artifact(self, name: str, folder: str = "") -> None:
        """Remove an artifact with all its versions; offline, staged files stay."""
        import wandb  # noqa: PLC0415

        run = self._run
        if run.offline:
            return
        path = f"{run.entity}/{run.project}/{self._artifact_name(name, folder)}"
        api = wandb.Api()
        if api.artifact_exists(f"{path}:latest"):
            for version in api.artifact(f"{path}:latest").collection.artifacts():
                version.delete(delete_aliases=True)

    def has(self, file: Path) -> bool:
        """Return false: every file has to be sent."""
        return False

    def _log(self, name: str, value: Any, step: int) -> None:
        self._run.log({name: value, STEP: step})

    def _artifact_name(self, name: str, folder: str) -> str:
        """The file name with the run id: the artifacts of all runs of a project share one namespace."""
        end = f"-{self._run.id}"
        plain = re.sub(r"[^A-Za-z0-9_.-]", "-", f"{folder.strip('/')}/{name}".lstrip("/"))
        return plain[: _LONGEST_NAME - len(end)] + end

    @property
    def _run(self) -> Run:
        run: Run = self._logger.experiment
        return run


def _remove_earlier_versions(newest: Artifact) -> None:
    """Remove the versions before the newest one; an error is logged only."""
    try:
        for version in newest.collection.artifacts():
            if version.version != newest.version and not version.aliases:
                version.delete()
    except Exception as error:  # noqa: BLE001 - the server may raise anything
        logger.warning(
            "Earlier versions of %s could not be deleted at W&B: %s: %s", newest.name, type(error).__name__, error
        )


adapter_of.register(WandbLogger, WandbAdapter)
