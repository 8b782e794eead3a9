"""A real MLflow server that fails in every way, and comes back."""

import os
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from lightning.pytorch.loggers import MLFlowLogger
from mlflow.tracking import MlflowClient

from cuelight.errors import UploadError
from cuelight.tracking.outbox.uploads import Uploads
from cuelight.weights.best import BestCheckpoint
from support.faulty_proxy import faulty_proxy
from support.trackers import LONGEST

SIZE = 3 * 1024**2


@pytest.fixture
def proxy(mlflow_uri, monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")  # of MLflow's own client
    with faulty_proxy(urlsplit(mlflow_uri).port) as server:
        yield server


@pytest.fixture
def run(proxy):
    """A logger whose run exists."""
    logger = MLFlowLogger("faults", tracking_uri=proxy.uri)
    assert logger.run_id
    return logger


@pytest.fixture
def best(tmp_path):
    file = tmp_path / "best_loss.ckpt"
    file.write_bytes(os.urandom(SIZE))
    return BestCheckpoint(file, "val/loss", "min", 0.5)


@pytest.fixture
def uploads(tmp_path, run):
    made = Uploads(tmp_path, "a1", [run], pauses=(0.01, 0.02))
    yield made
    made.close()


def there(mlflow_uri, run, folder):
    """The file that the server has."""
    client = MlflowClient(mlflow_uri)
    names = [entry.path for entry in client.list_artifacts(run.run_id, "checkpoints")]
    assert names == ["checkpoints/best.ckpt"]
    folder.mkdir()
    return Path(client.download_artifacts(run.run_id, names[0], str(folder))).read_bytes()


def wait(uploads, seconds=LONGEST, attempts=None):
    uploads.wait(timedelta(seconds=seconds), lambda *_: None, attempts)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("500", "500"),
        ("hang", "timed? ?out"),
        ("drop", "Connection"),
        ("refuse", "Connection refused"),
    ],
)
def test_a_server_that_fails_and_comes_back(
    proxy, run, best, uploads, mlflow_uri, tmp_path, monkeypatch, fault, reason
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "2")
    if fault == "refuse":
        proxy.refuse()
    proxy.fault = fault
    uploads.offer(best, 4)
    with pytest.raises(UploadError, match=reason) as raised:
        wait(uploads, attempts=2)
    assert "MLflow" in str(raised.value)
    assert "It waits in" in str(raised.value)
    proxy.fault = None
    if fault == "refuse":
        proxy.listen()
    wait(uploads)
    assert there(mlflow_uri, run, tmp_path / "got") == best.path.read_bytes()
    assert {path.name for path in (tmp_path / "spool").rglob("*") if path.is_file()} == {".lock", "state.json"}


@pytest.mark.slow
def test_the_place_where_mlflow_has_it(run, best, uploads) -> None:
    uploads.offer(best, 4)
    wait(uploads)
    (sent,) = uploads.sent().values()
    assert (sent.place, sent.where) == (f"runs:/{run.run_id}", f"runs:/{run.run_id}/checkpoints/best.ckpt")


@pytest.mark.slow
def test_older_ones_are_removed_there(run, best, tmp_path, mlflow_uri) -> None:
    uploads = Uploads(tmp_path, "a1", [run], keep=2, pauses=(0.01, 0.02))
    for step in (1, 2, 3):
        best.path.write_bytes(os.urandom(1000))
        uploads.offer(best, step)
        wait(uploads)
    uploads.close()
    names = {entry.path for entry in MlflowClient(mlflow_uri).list_artifacts(run.run_id, "checkpoints")}
    assert names == {"checkpoints/best-2.ckpt", "checkpoints/best-3.ckpt"}
