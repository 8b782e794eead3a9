"""An MLflow logger that sends in the background, and continues its run after a resume."""

from __future__ import annotations

import logging
import os
import re
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lightning.fabric.loggers.logger import rank_zero_experiment
from lightning.pytorch.loggers import MLFlowLogger
from lightning.pytorch.utilities import rank_zero_only

from cuelight.tracking.loggers.metric_names import MetricNames
from cuelight.tracking.loggers.mlflow_adapter import MLflowAdapter, send_entry
from cuelight.tracking.loggers.run_ids import (
    is_elsewhere,
    remember_names,
    remember_run,
    remembered_names,
    remembered_run,
)
from cuelight.tracking.outbox.deadline import Deadline, was_stopped
from cuelight.tracking.outbox.outbox import METRICS, Outbox
from cuelight.utils.journal import END, Entry
from cuelight.utils.redaction import hide_users, redacted_text, without_secrets

if TYPE_CHECKING:
    from mlflow.entities import Metric
    from mlflow.tracking import MlflowClient

logger = logging.getLogger(__name__)

_METRICS_AT_ONCE = 1000  # MLflow's limit for a request
# By default, the client retries for minutes and prints; the background thread has its own retries.
_CLIENT = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1", "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true"}
# Errors of MLflow itself that a retry cannot fix. Others may be temporary, or come from a proxy.
_REFUSALS = frozenset({"BAD_REQUEST", "INVALID_PARAMETER_VALUE", "RESOURCE_ALREADY_EXISTS", "RESOURCE_DOES_NOT_EXIST"})


class BackgroundMLFlowLogger(MLFlowLogger):
    """Lightning's ``MLFlowLogger`` with a background thread that sends everything.

    The run directory stores the id of the MLflow run. The time limit at the end may be shared with other trackers.
    """

    def __init__(
        self,
        directory: Path,
        uri: str,
        experiment: str,
        run_name: str,
        tags: Mapping[str, str] | None = None,
        deadline: Deadline | None = None,
    ) -> None:
        for variable, value in _CLIENT.items():
            os.environ.setdefault(variable, value)
        hide_users(uri)  # it may be from MLFLOW_TRACKING_URI
        self.shown_uri = redacted_text(uri)
        self._address = without_secrets(uri)
        kept = remembered_run(directory, "mlflow", self._address)
        self._unusable: Exception | None = None
        try:
            super().__init__(experiment, run_name=run_name, tracking_uri=uri, tags=dict(tags or {}), run_id=kept)
        except Exception as error:  # noqa: BLE001 - the client cannot open the store
            self._unusable = error  # raised at the first use, as if the server were not reachable
        self.outbox = Outbox(directory, "mlflow", self._address, f"MLflow at {self.shown_uri}", self._send, _is_refusal)
        self._directory = directory
        self._lock = threading.RLock()
        self._names = MetricNames(remembered_names(directory))
        self.is_elsewhere = is_elsewhere(directory, "mlflow", self._address)
        self._sent_before: dict[str, set[tuple[int, str]]] = {}
        self._goes_on = kept is not None
        self._deadline = deadline or Deadline()

    @property
    @rank_zero_experiment
    def experiment(self) -> Any:
        """The client; the first use finds or creates the run of the run directory."""
        with self._lock:
            if self._unusable is not None:
                raise self._unusable
            if not self._initialized:
                self._find_run(self._mlflow_client)
                if self._run_id is None:
                    _make_experiment(self._mlflow_client, self._experiment_name)
                _ = super().experiment
                remember_run(self._directory, "mlflow", self._address, str(self._run_id))
        return self._mlflow_client

    @property
    def log_dir(self) -> str:
        """The run directory."""
        return str(self._directory)

    @property
    def page(self) -> str:
        """The address of the run's page."""
        if not self.shown_uri.startswith("http"):
            return f"{self.shown_uri}, run {self.run_id}"
        server = re.sub("//[^/]*@", "//", self.shown_uri).rstrip("/")  # without user name and password
        return f"{server}/#/experiments/{self.experiment_id}/runs/{self.run_id}"

    @rank_zero_only
    def begin(self) -> None:
        """Connect to the server, and set the status of a continued run to running."""
        client = self.experiment
        if self._goes_on:
            client.update_run(self.run_id, "RUNNING")
        self.outbox.remove(END)
        self.outbox.send_waiting()

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Queue metrics."""
        now = int(time.time() * 1000)
        owners = dict(self._names.owners)
        points = [[self._names.taken(name), float(value), now, step or 0] for name, value in metrics.items()]
        self.outbox.add(METRICS, METRICS, {"points": points})
        if owners != self._names.owners:
            remember_names(self._directory, self._names.owners)

    @rank_zero_only
    def log_hyperparams(self, params: Any, *_: Any, **__: Any) -> None:
        """Queue hyperparameters."""
        given = dict(params) if isinstance(params, Mapping) else vars(params)
        self.outbox.add("hyperparameters", "hyperparams", {"params": given})

    @rank_zero_only
    def finalize(self, status: str = "success") -> None:
        """Send the final status, and wait for the queue for a limited time."""
        ending = "FINISHED" if status in {"success", "finished"} else "KILLED" if was_stopped() else "FAILED"
        self.outbox.remove(END)
        self.outbox.add("the final status", END, {"status": ending, "time": int(time.time() * 1000)})
        self.outbox.drain(self._deadline.seconds_for("mlflow"))

    def _find_run(self, client: MlflowClient) -> None:
        from mlflow.exceptions import MlflowException  # noqa: PLC0415

        if self._run_id is None:
            return
        try:
            run = client.get_run(self._run_id)
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
        else:
            if run.info.lifecycle_stage == "active":
                return
        logger.warning("MLflow at %s no longer has run %s: a new run is created.", self.shown_uri, self._run_id)
        self._run_id, self._goes_on = None, False

    def _send(self, entries: Sequence[Entry]) -> None:
        if entries[0].kind == METRICS:
            self._send_points([point for entry in entries for point in entry.payload["points"]])
            return
        for entry in entries:
            if entry.kind == END:
                self.experiment.set_terminated(self.run_id, entry.payload["status"], entry.payload.get("time"))
            else:
                send_entry(MLflowAdapter(self), entry)

    def _send_points(self, points: Sequence[Sequence[Any]]) -> None:
        from mlflow.entities import Metric  # noqa: PLC0415 - an optional dependency

        client = self.experiment
        new = [point for point in (Metric(*point) for point in points) if not self._was_sent(client, point)]
        for start in range(0, len(new), _METRICS_AT_ONCE):
            client.log_batch(self.run_id, metrics=new[start : start + _METRICS_AT_ONCE], synchronous=True)
        for point in new:
            self._sent_before.get(point.key, set()).add((point.step, repr(point.value)))

    def _was_sent(self, client: MlflowClient, point: Metric) -> bool:
        """Whether a point was sent before the resume, which repeats some steps."""
        if not self._goes_on:
            return False
        if point.key not in self._sent_before:
            history = client.get_metric_history(str(self.run_id), point.key)
            self._sent_before[point.key] = {(entry.step, repr(entry.value)) for entry in history}
        return (point.step, repr(point.value)) in self._sent_before[point.key]


def _make_experiment(client: MlflowClient, name: str) -> None:
    """Create an experiment, unless it exists or another process creates it at the same time."""
    from mlflow.exceptions import MlflowException  # noqa: PLC0415

    if client.get_experiment_by_name(name) is not None:
        return
    try:
        client.create_experiment(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise


def _is_refusal(error: Exception) -> bool:
    """Whether the server responded, and would give the same response again."""
    from mlflow.exceptions import MlflowException  # noqa: PLC0415

    return isinstance(error, MlflowException) and error.error_code in _REFUSALS
