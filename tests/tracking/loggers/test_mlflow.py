"""MLflow, on a real server: what its client reads back afterwards."""

import itertools
import re
import socket
import threading
from pathlib import Path

import numpy as np
import pytest
from lightning.pytorch.loggers import MLFlowLogger
from mlflow.tracking import MlflowClient

from cuelight.errors import TrackerError
from cuelight.tracking import sending
from cuelight.tracking.logger_adapter import adapter_of
from cuelight.tracking.loggers.build import start_trackers
from cuelight.tracking.loggers.mlflow_logger import BackgroundMLFlowLogger
from cuelight.tracking.loggers.readonly import readonly
from cuelight.utils.journal import lacking
from support.experiments import OWN_PARTS, experiment, metric_rows, only_run, write_yaml
from support.mlflow_server import Server
from support.processes import Command, cuelight, named_pipe
from support.trackers import ended_as_by_lightning

pytestmark = pytest.mark.slow

AWKWARD = {"device_id: 0/utilization.gpu (%)": 3.0, "device_id: 0/temperature.gpu (°C)": 4.0}
_numbers = itertools.count()


@pytest.fixture
def client(mlflow_uri):
    from mlflow import MlflowClient

    return MlflowClient(mlflow_uri)


@pytest.fixture
def directory(tmp_path):
    (tmp_path / "run").mkdir()
    return tmp_path / "run"


@pytest.fixture
def experiment_name():
    return f"experiment {next(_numbers)}"


@pytest.fixture
def logger(directory, mlflow_uri, experiment_name):
    return BackgroundMLFlowLogger(directory, mlflow_uri, experiment_name, "name", {"team": "a"})


def again(logger, directory):
    return BackgroundMLFlowLogger(directory, logger._tracking_uri, logger._experiment_name, "name")


def artifacts(client, run_id, path=None):
    found = set()
    for entry in client.list_artifacts(run_id, path):
        found |= artifacts(client, run_id, entry.path) if entry.is_dir else {entry.path}
    return found


def curve(client, logger, name):
    return [(point.step, point.value) for point in client.get_metric_history(logger.run_id, name)]


@pytest.mark.parametrize("kind", ["Lightning's", "Cuelight's"])
def test_all_that_is_sent_can_be_read(kind, logger, mlflow_uri, client, tmp_path, recwarn) -> None:
    if kind == "Lightning's":
        logger = MLFlowLogger(logger._experiment_name, tracking_uri=mlflow_uri)
    checkpoint = tmp_path / "best.ckpt"
    checkpoint.write_bytes(b"weights")
    sending.send_metrics([logger], AWKWARD, 3)
    sending.send_image([logger], "gradcam/val", np.zeros((4, 4, 3), np.uint8), 4)
    sending.send_text([logger], "notes", "# Text", 5)
    sending.send_table([logger], "test/matrix", ["true", "a"], [["a", 1], ["b,c", 2]], 6)
    many = {f"p{number}": number for number in range(250)}
    sending.send_hyperparams([logger], {"long": "x" * 9000, "deep": {"none": None, "list": [1, {"a": True}]}} | many)
    place = adapter_of(logger).log_artifact(checkpoint, "checkpoints", ["best"])
    logger.finalize("success")
    run = client.get_run(logger.run_id)
    assert run.data.metrics == {
        "device_id 0/utilization.gpu percent": 3.0, "device_id 0/temperature.gpu degC": 4.0
    }  # fmt: skip
    assert run.data.params["deep.none"] == "null"
    assert run.data.params["deep.list.0"] == "1"
    assert run.data.params["deep.list.1.a"] == "true"
    assert run.data.params["long"] == "x" * 6000
    assert len(run.data.params) == 254
    there = artifacts(client, logger.run_id)
    assert {"notes.md", "test/matrix.csv", "checkpoints/best.ckpt"} <= there
    assert any(path.startswith("images/gradcam~val+step+4") for path in there)
    assert place == f"runs:/{logger.run_id}/checkpoints/best.ckpt"
    assert not [warning for warning in recwarn if "MLFlow only allows" in str(warning.message)]


def test_what_lightning_has_sent_in_its_own_words_is_not_sent_again(mlflow_uri, experiment_name, client) -> None:
    logger = MLFlowLogger(experiment_name, tracking_uri=mlflow_uri)
    params = {"flag": True, "nothing": None, "api_key": "REDACTED", "rate": 0.1}
    logger.log_hyperparams(params | {"api_key": "abc123"})
    adapter_of(logger).log_hyperparams(params | {"rate": 0.2})
    run = client.get_run(logger.run_id).data
    assert run.params["flag"] == "True"
    assert {name for name in run.tags if name.startswith("changed")} == {"changed.rate"}


def test_file_is_removed_and_may_be_missing(logger, client, tmp_path) -> None:
    (tmp_path / "best.ckpt").write_bytes(b"weights")
    (tmp_path / "other.ckpt").write_bytes(b"weights")
    tracker = adapter_of(logger)
    tracker.log_artifact(tmp_path / "best.ckpt", "checkpoints")
    tracker.log_artifact(tmp_path / "other.ckpt", "checkpoints")
    for _ in range(2):
        tracker.delete_artifact("best.ckpt", "checkpoints")
    assert artifacts(client, logger.run_id) == {"checkpoints/other.ckpt"}


def test_resume_goes_on_in_the_same_run_and_doubles_nothing(logger, directory, client) -> None:
    logger.begin()
    sending.send_hyperparams([logger], {"trainer": {"epochs": 2, "seed": 1}})
    for step in range(4):
        logger.log_metrics({"loss": 1 / (step + 1)}, step)
    logger.finalize("failed")
    resumed = again(logger, directory)
    resumed.begin()
    assert client.get_run(logger.run_id).info.status == "RUNNING"
    sending.send_hyperparams([resumed], {"trainer": {"epochs": 9, "seed": 1}})
    for step in range(2, 6):
        resumed.log_metrics({"loss": 1 / (step + 1)}, step)
    resumed.finalize("success")
    assert resumed.run_id == logger.run_id
    assert curve(client, logger, "loss") == [(step, 1 / (step + 1)) for step in range(6)]
    run = client.get_run(logger.run_id)
    assert (run.data.params["trainer.epochs"], run.data.tags["changed.trainer.epochs"]) == ("2", "9")
    assert "changed.trainer.seed" not in run.data.tags
    assert run.info.status == "FINISHED"


def test_what_is_refused_is_counted_at_the_end(logger, client, caplog) -> None:
    logger.begin()
    client.delete_run(logger.run_id)
    for step in range(3):
        logger.log_metrics({"loss": 1.0}, step)
    logger.finalize("success")
    assert "lacks 3 metrics, the final status refused" in caplog.text


def test_file_is_sent_as_it_was_and_not_waited_for(logger, client, tmp_path) -> None:
    file = tmp_path / "notes.txt"
    file.write_text("first")
    sending.send_artifact([logger], file, "notes")
    file.unlink()
    logger.finalize("success")
    assert artifacts(client, logger.run_id) == {"notes/notes.txt"}


def test_run_that_was_deleted_is_not_missed(logger, directory, client, caplog) -> None:
    logger.begin()
    client.delete_run(logger.run_id)
    resumed = again(logger, directory)
    resumed.begin()
    assert resumed.run_id != logger.run_id
    assert "no longer has run" in caplog.text


@pytest.mark.parametrize(("error", "status"), [(KeyboardInterrupt, "KILLED"), (ValueError, "FAILED")])
def test_training_that_was_stopped_is_told_from_one_that_failed(logger, client, error, status) -> None:
    logger.begin()
    with pytest.raises(error), ended_as_by_lightning(lambda: logger.finalize("failed")):
        raise error
    assert client.get_run(logger.run_id).info.status == status


def test_metrics_after_the_end_are_sent_too(logger, client) -> None:
    logger.log_metrics({"loss": 1.0}, 1)
    logger.finalize("success")
    sending.send_metrics([logger], {"test/loss": 2.0}, 2)
    logger.finalize("success")
    assert client.get_run(logger.run_id).data.metrics == {"loss": 1.0, "test/loss": 2.0}


def test_two_runs_in_one_process(directory, tmp_path, mlflow_uri, experiment_name, client) -> None:
    (tmp_path / "second").mkdir()
    loggers = [
        BackgroundMLFlowLogger(folder, mlflow_uri, experiment_name, folder.name)
        for folder in (directory, tmp_path / "second")
    ]
    for value, one in enumerate(loggers):
        one.log_metrics({"loss": float(value)}, 1)
    for one in loggers:
        one.finalize("success")
    assert [client.get_run(one.run_id).data.metrics["loss"] for one in loggers] == [0.0, 1.0]
    assert [client.get_run(one.run_id).info.run_name for one in loggers] == ["run", "second"]


def test_readonly_logger_leaves_the_run_open(logger, client) -> None:
    logger.begin()
    with readonly([logger]):
        logger.experiment.log_metric(logger.run_id, "drawn", 1.0)
        logger.log_metrics({"lost": 1.0}, 1)
        logger.finalize("success")
    run = client.get_run(logger.run_id)
    assert (run.data.metrics, run.info.status) == ({"drawn": 1.0}, "RUNNING")


def test_server_that_is_not_there_is_an_error_before_the_training(directory) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        uri = f"http://user:hidden@127.0.0.1:{unused.getsockname()[1]}"
    logger = BackgroundMLFlowLogger(directory, uri, "experiment", "name")
    with pytest.raises(TrackerError, match=r"^MLflow at http.* cannot be used: .*tracker\.mlflow=false") as raised:
        start_trackers([logger])
    assert "hidden" not in str(raised.value)
    assert " cannot be used: ConnectionRefusedError: [Errno 111] Connection refused. Start it" in str(raised.value)


@pytest.mark.parametrize(
    ("uri", "reason"),
    [
        ("ftp://user:hidden@127.0.0.1", "unsupported URI"),
        ("http://[127.0.0.1", "ValueError: Invalid IPv6 URL"),
        ("mlruns", "filesystem tracking backend"),
    ],
)
def test_store_that_cannot_be_opened_is_an_error_before_the_training(directory, uri, reason, monkeypatch) -> None:
    monkeypatch.delenv("MLFLOW_ALLOW_FILE_STORE", raising=False)
    logger = BackgroundMLFlowLogger(directory, uri, "experiment", "name")
    with pytest.raises(TrackerError, match=r"^MLflow at .* cannot be used: .*tracker\.mlflow=false") as raised:
        start_trackers([logger])
    assert reason in str(raised.value)
    assert "hidden" not in str(raised.value)


def test_training_does_not_wait_for_a_server_that_hangs(directory) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        logger = BackgroundMLFlowLogger(directory, f"http://127.0.0.1:{silent.getsockname()[1]}", "experiment", "name")
        logged = threading.Event()

        def log():
            for step in range(100):
                logger.log_metrics({"loss": 1.0}, step)
                sending.send_image([logger], "picture", np.zeros((4, 4, 3), np.uint8), step)
                sending.send_artifact([logger], Path(__file__))
            logged.set()

        threading.Thread(target=log, daemon=True).start()
        assert logged.wait(60)  # one answer that is waited for takes longer, and there are 300
        logger.outbox.drain(0.1)
        assert "metrics" in lacking(directory)[f"MLflow at {logger.shown_uri}"]


def test_server_that_dies_does_not_end_a_training(digits, tmp_path) -> None:
    server = Server(tmp_path)
    server.start()
    callbacks = [{"name": "Events", "params": {"path": str(tmp_path / "pipe")}}]
    tree = experiment(digits, callbacks=callbacks) | {"tracker": {"mlflow": {"tracking_uri": server.uri}}}
    file = write_yaml(tmp_path / "tiny.yaml", tree)
    try:
        with named_pipe(tmp_path / "pipe") as pipe:
            command = Command("train", file, "--source", OWN_PARTS, folder=tmp_path)
            command.wait_for_lines(pipe, 30)
            server.stop()
            finished = command.wait(240)
    finally:
        server.stop()
    assert finished.code == 0, finished.err
    directory = only_run(tmp_path / "runs")
    assert finished.err.count(f"MLflow at {server.uri} did not take what was sent") <= 1  # none if it ends before
    assert finished.err.count(f"MLflow at {server.uri} lacks") == 1
    assert "the training continues" not in finished.err
    assert "Send it with: cuelight upload runs/tiny/" in finished.err
    assert [row["step"] for row in metric_rows(directory) if row["train/loss"]] == [str(step) for step in range(15)]
    told = cuelight("verify", directory, "--source", OWN_PARTS, folder=tmp_path)
    assert (told.code, "metrics" in told.out) == (1, True)
    assert "To send what a tracker lacks: cuelight upload" in told.err
    down = cuelight("upload", directory, "--source", OWN_PARTS, folder=tmp_path)
    assert (down.code, down.out) == (1, "")
    [failure] = [line for line in down.err.splitlines() if server.uri in line]  # of all that it prints, once
    assert f"MLflow at {server.uri} lacks " in failure
    try:
        server.start()
        sent = cuelight("upload", directory, "--source", OWN_PARTS, folder=tmp_path)
        assert sent.code == 0, sent.err
        assert re.search(rf"sent to MLflow at {server.uri}: \d+ metrics", sent.out)
        client = MlflowClient(server.uri)
        [run] = client.search_runs([client.get_experiment_by_name("tiny").experiment_id])
        assert run.info.status == "FINISHED"
        steps = [point.step for point in client.get_metric_history(run.info.run_id, "train/loss")]
        assert sorted(steps) == list(range(15))
    finally:
        server.stop()
    assert cuelight("verify", directory, "--source", OWN_PARTS, folder=tmp_path).code == 0


def test_exported_files_are_artifacts_also_if_the_server_was_down_when_they_were_written(digits, tmp_path) -> None:
    server = Server(tmp_path)
    server.start()
    callbacks = [
        {"name": "Events", "params": {"path": str(tmp_path / "pipe")}},
        {"name": "ExportOnTrainEnd"},
        {"name": "ArchiveOnTrainEnd"},
    ]
    tree = experiment(digits, epochs=1, scheduler=None, callbacks=callbacks)
    tree["model"] = {"name": "ClassificationModel", "params": {"backbone": "test_resnet"}}
    tree["tracker"] = {"mlflow": {"tracking_uri": server.uri}}
    file = write_yaml(tmp_path / "tiny.yaml", tree)
    try:
        with named_pipe(tmp_path / "pipe") as pipe:
            command = Command("train", file, "--source", OWN_PARTS, folder=tmp_path)
            command.wait_for_lines(pipe, 5)
            server.stop()
            done = command.wait(240)
        assert done.code == 0, done.err
        directory = only_run(tmp_path / "runs")
        waiting = lacking(directory)[f"MLflow at {server.uri}"]
        assert {"file tiny.onnx", "file tiny.tar"} <= set(waiting.removesuffix(" not sent yet").split(", "))
        server.start()
        assert cuelight("upload", directory, "--source", OWN_PARTS, folder=tmp_path).code == 0
        client = MlflowClient(server.uri)
        [run] = client.search_runs([client.get_experiment_by_name("tiny").experiment_id])
        assert {"export/tiny.onnx", "archive/tiny.tar"} <= artifacts(client, run.info.run_id)
        (tmp_path / "got").mkdir()
        got = Path(client.download_artifacts(run.info.run_id, "export/tiny.onnx", str(tmp_path / "got")))
        assert got.read_bytes() == (directory / "export" / "tiny.onnx").read_bytes()
    finally:
        server.stop()
