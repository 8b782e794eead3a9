"""Adapter of Lightning's ``MLFlowLogger``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from lightning.pytorch.loggers import MLFlowLogger
from numpy.typing import NDArray

from cuelight.tracking.logger_adapter import adapter_of
from cuelight.tracking.loggers.metric_names import mlflow_name
from cuelight.tracking.loggers.tabular import as_csv, as_text
from cuelight.utils.dot_paths import flattened
from cuelight.utils.journal import Entry
from cuelight.utils.redaction import REDACTED

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

_AT_ONCE = 100  # parameters or tags that one request may hold
CHANGED = "changed."
_LONGEST_OF_LIGHTNING = 250  # characters of a hyperparameter


class MLflowAdapter:
    """Logs to the run of the logger: files, text and tables as artifacts, images by step."""

    name = "MLflow"
    is_shared = False

    def __init__(self, logger: MLFlowLogger) -> None:
        self._logger = logger

    @property
    def place(self) -> str:
        """The artifacts of the run, as a URL of MLflow."""
        return f"runs:/{self._run_id}"

    def log_metrics(self, metrics: Mapping[str, float], step: int) -> None:
        """Log metrics, under names that MLflow accepts."""
        self._logger.log_metrics({mlflow_name(name): value for name, value in metrics.items()}, step)

    def log_image(self, name: str, image: NDArray[np.uint8], step: int, caption: str = "") -> None:
        """Log an image; MLflow shows no caption."""
        self._client.log_image(self._run_id, image, key=mlflow_name(name), step=step, synchronous=True)

    def log_text(self, name: str, text: str, step: int) -> None:
        """Log text as the artifact ``<name>.md``, replacing an earlier one."""
        self._client.log_text(self._run_id, text, f"{name}.md")

    def log_table(self, name: str, columns: Sequence[str], rows: Sequence[Sequence[Any]], step: int) -> None:
        """Log a table as the artifact ``<name>.csv``, replacing an earlier one."""
        self._client.log_text(self._run_id, as_csv(columns, rows), f"{name}.csv")

    def log_hyperparams(self, params: Mapping[str, Any]) -> None:
        """Log hyperparameters by their dot paths.

        MLflow cannot change a value: another value after a resume becomes the tag ``changed.<name>``.
        """
        from mlflow.entities import Param, RunTag  # noqa: PLC0415 - an optional dependency
        from mlflow.utils.validation import MAX_PARAM_VAL_LENGTH, MAX_TAG_VAL_LENGTH  # noqa: PLC0415

        run = self._client.get_run(self._run_id).data
        values = {mlflow_name(name): value for name, value in flattened(params).items()}
        texts = {name: as_text(value)[:MAX_PARAM_VAL_LENGTH] for name, value in values.items()}
        new = [Param(name, text) for name, text in texts.items() if name not in run.params]
        changed = [
            RunTag(f"{CHANGED}{name}", text[:MAX_TAG_VAL_LENGTH])
            for name, text in texts.items()
            if not _is_same(values[name], text, run.tags.get(f"{CHANGED}{name}", run.params.get(name, text)))
        ]
        for start in range(0, max(len(new), len(changed)), _AT_ONCE):
            chunk = slice(start, start + _AT_ONCE)
            self._client.log_batch(self._run_id, params=new[chunk], tags=changed[chunk], synchronous=True)

    def log_artifact(self, file: Path, folder: str = "", aliases: Sequence[str] = (), *, wait: bool = True) -> str:
        """Send a file; MLflow keeps one version of it, without aliases."""
        self._client.log_artifact(self._run_id, str(file), folder or None)
        return "/".join(part for part in (self.place, folder.strip("/"), file.name) if part)

    def delete_artifact(self, name: str, folder: str = "") -> None:
        """Remove a file, if it exists."""
        from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository  # noqa: PLC0415

        uri = self._client.get_run(self._run_id).info.artifact_uri
        kept = get_artifact_repository(uri, tracking_uri=self._client.tracking_uri)
        path = f"{folder.strip('/')}/{name}".lstrip("/")
        if any(entry.path == path for entry in kept.list_artifacts(folder.strip("/") or None)):
            kept.delete_artifacts(path)  # type: ignore[no-untyped-call]  # MLflow has no types for it

    def has(self, file: Path) -> bool:
        """Return false: every file has to be sent."""
        return False

    @property
    def _client(self) -> MlflowClient:
        client: MlflowClient = self._logger.experiment
        return client

    @property
    def _run_id(self) -> str:
        return str(self._logger.run_id)


def _is_same(value: Any, text: str, there: str) -> bool:
    """Whether MLflow has this value, as text or as Lightning's logger writes it; a secret is not compared."""
    return there in {text, str(value)[:_LONGEST_OF_LIGHTNING]} or REDACTED in text


def send_entry(adapter: MLflowAdapter, entry: Entry) -> None:
    """Send an entry of the journal."""
    payload = entry.payload
    if entry.kind == "image" and entry.file is not None:
        adapter.log_image(payload["name"], np.load(entry.file), payload["step"], payload["caption"])
    elif entry.kind == "artifact" and entry.file is not None:
        adapter.log_artifact(entry.file, payload["folder"])
    elif entry.kind == "text":
        adapter.log_text(payload["name"], payload["text"], payload["step"])
    elif entry.kind == "table":
        adapter.log_table(payload["name"], payload["columns"], payload["rows"], payload["step"])
    else:
        adapter.log_hyperparams(payload["params"])


adapter_of.register(MLFlowLogger, MLflowAdapter)
