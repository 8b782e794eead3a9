"""The best checkpoint of a run gets to a real MLflow server, whatever ended the run before."""

import signal
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from mlflow.tracking import MlflowClient

from cuelight import Run
from cuelight.train_end.outcomes import read_outcomes
from cuelight.utils.files import sha256_of
from support.experiments import OWN_PARTS, experiment, only_run, write_yaml
from support.faulty_proxy import faulty_proxy
from support.processes import Command, cuelight

pytestmark = pytest.mark.slow


@pytest.fixture
def proxy(mlflow_uri):
    with faulty_proxy(urlsplit(mlflow_uri).port) as server:
        yield server


@pytest.fixture
def file(digits, tmp_path, proxy):
    """A configuration that uploads to the proxy, in an experiment of its own."""
    tree = experiment(digits, callbacks=[{"name": "UploadCheckpoint", "params": {"timeout": "2s"}}])
    tree["tracker"] = {"mlflow": {"tracking_uri": proxy.uri, "experiment": tmp_path.name}}
    return write_yaml(tmp_path / "tiny.yaml", tree)


def run(*arguments, folder):
    return cuelight(*arguments, "--source", OWN_PARTS, folder=folder)


class There:
    """What the server has."""

    def __init__(self, mlflow_uri, experiment):
        self.client = MlflowClient(mlflow_uri)
        self.experiment = self.client.get_experiment_by_name(experiment).experiment_id

    def run_id(self):
        (found,) = self.client.search_runs([self.experiment])
        return found.info.run_id

    def hash(self, folder):
        run_id = self.run_id()
        names = [entry.path for entry in self.client.list_artifacts(run_id, "checkpoints")]
        folder.mkdir()
        return [sha256_of(Path(self.client.download_artifacts(run_id, name, str(folder)))) for name in names]


def best_of(directory):
    return sha256_of(directory / "checkpoints" / "best_loss.ckpt")


def spooled(directory):
    return sorted(path.name for path in (directory / "spool").rglob("*") if path.is_file())


def test_a_training_uploads(file, tmp_path, mlflow_uri) -> None:
    done = run("train", file, folder=tmp_path)
    assert done.code == 0, done.err
    directory = only_run(tmp_path / "runs")
    there = There(mlflow_uri, tmp_path.name)
    assert there.hash(tmp_path / "got") == [best_of(directory)]
    assert spooled(directory) == [".lock", "state.json"]
    assert f"runs:/{there.run_id()}/checkpoints/best.ckpt" in done.out
    assert run("verify", directory, folder=tmp_path).code == 0
    again = run("upload", directory, folder=tmp_path)
    assert again.code == 0, again.err
    assert f"runs:/{there.run_id()}/checkpoints/best.ckpt" in again.out


@pytest.mark.parametrize("how", ["upload", "finish"])
def test_what_could_not_be_sent_is_sent_later(file, tmp_path, mlflow_uri, proxy, how) -> None:
    proxy.fault = "500"
    done = run("train", file, folder=tmp_path)
    assert done.code == 1
    assert "UploadCheckpoint: The best checkpoint was not sent. MLflow: " in done.err
    directory = only_run(tmp_path / "runs")
    assert read_outcomes(directory)["TestOnTrainEnd"].status == "ok"
    assert "best.ckpt" in spooled(directory)
    still = run("upload", directory, folder=tmp_path)
    assert still.code == 1
    assert still.err.count("The best checkpoint was not sent. MLflow: ") == 1
    assert "did not take what was sent" not in still.err
    assert "training" not in still.err
    proxy.fault = None
    later = run(how, directory, folder=tmp_path)
    assert later.code == 0, later.err
    assert There(mlflow_uri, tmp_path.name).hash(tmp_path / "got") == [best_of(directory)]
    assert spooled(directory) == [".lock", "state.json"]
    assert read_outcomes(directory)["UploadCheckpoint"].status == "ok"


def test_nothing_was_trained(file, tmp_path) -> None:
    directory = tmp_path / "runs" / "tiny" / "untrained"
    directory.mkdir(parents=True)
    (directory / "config.yaml").write_bytes(file.read_bytes())
    done = run("upload", directory, folder=tmp_path)
    assert done.code == 1
    assert done.err.splitlines()[-1] == f"error: {directory} has no checkpoint to upload: train it first."
    assert "the training starts" not in done.err


def killed(file, folder, proxy):
    """A run whose process was killed while it uploaded."""
    proxy.fault = "hang"
    command = Command("train", file, "trainer.callbacks.0.params.timeout=1h", "--source", OWN_PARTS, folder=folder)
    assert proxy.met.wait(240)
    command.send(signal.SIGKILL)
    assert command.wait().code == -signal.SIGKILL
    proxy.fault = None
    directory = only_run(folder / "runs")
    assert "best.ckpt" in spooled(directory)
    return directory


def test_killed_during_an_upload_and_uploaded_later(file, tmp_path, mlflow_uri, proxy) -> None:
    directory = killed(file, tmp_path, proxy)
    done = run("upload", directory, folder=tmp_path)
    assert done.code == 0, done.err
    assert There(mlflow_uri, tmp_path.name).hash(tmp_path / "got") == [best_of(directory)]
    assert spooled(directory) == [".lock", "state.json"]


def test_killed_during_an_upload_and_resumed(file, tmp_path, mlflow_uri, proxy) -> None:
    directory = killed(file, tmp_path, proxy)
    done = run("train", "--resume", directory, "trainer.callbacks.0.params.timeout=5m", folder=tmp_path)
    assert done.code == 0, done.err
    assert There(mlflow_uri, tmp_path.name).hash(tmp_path / "got") == [best_of(directory)]
    assert spooled(directory) == [".lock", "state.json"]
    assert not list(directory.rglob("*.partial"))


def test_killed_before_anything_was_spooled(file, tmp_path, mlflow_uri) -> None:
    off = "trainer.callbacks.0.active=false"
    assert run("train", file, off, folder=tmp_path).code == 0
    directory = only_run(tmp_path / "runs")
    assert not (directory / "spool").exists()
    done = run("upload", directory, folder=tmp_path)
    assert done.code == 0, done.err
    assert There(mlflow_uri, tmp_path.name).hash(tmp_path / "got") == [best_of(directory)]


def test_a_run_that_is_being_sent_is_left_alone(file, tmp_path, proxy) -> None:
    proxy.fault = "hang"
    command = Command("train", file, "trainer.callbacks.0.params.timeout=1h", "--source", OWN_PARTS, folder=tmp_path)
    assert proxy.met.wait(240)
    done = run("upload", only_run(tmp_path / "runs"), folder=tmp_path)
    command.send(signal.SIGKILL)
    command.wait()
    assert done.code == 1
    assert "are being sent by another process" in done.err


def test_where_the_trackers_keep_their_files_around_it_nothing_is_copied(digits, tmp_path) -> None:
    file = write_yaml(tmp_path / "tiny.yaml", experiment(digits, callbacks=[{"name": "UploadCheckpoint"}]))
    done = run("train", file, folder=tmp_path)
    assert done.code == 0
    assert done.err.count("UploadCheckpoint has nowhere to upload to") == 1
    directory = only_run(tmp_path / "runs")
    outcome = read_outcomes(directory)["UploadCheckpoint"]
    assert (outcome.status, outcome.reason.split(" keep ")[0]) == ("skipped", "TensorBoard and CSV")
    assert not (directory / "spool").exists()
    assert run("upload", directory, folder=tmp_path).code == 0


def test_in_python(file, tmp_path, mlflow_uri, monkeypatch) -> None:
    from support.experiments import own_parts

    own_parts()
    monkeypatch.chdir(tmp_path)
    result = Run.from_yaml(file, ["trainer.callbacks.0.active=false"]).train()
    outcome = Run.load(result.directory).upload()
    assert outcome.status == "ok", outcome
    assert There(mlflow_uri, tmp_path.name).hash(tmp_path / "got") == [best_of(result.directory)]
