"""W&B, offline: what is in its files afterwards."""

import subprocess
import types

import numpy as np
import pytest
import wandb
from lightning.pytorch.loggers import WandbLogger

from cuelight.errors import TrackerError
from cuelight.tracking import sending
from cuelight.tracking.logger_adapter import adapter_of
from cuelight.tracking.loggers.build import leave_trackers, start_trackers
from cuelight.tracking.loggers.readonly import readonly
from cuelight.tracking.loggers.wandb_adapter import WandbAdapter
from cuelight.tracking.loggers.wandb_logger import OwnRunWandbLogger
from support.trackers import ended_as_by_lightning
from support.wandb_files import read_run

AWKWARD = {"device_id: 0/utilization.gpu (%)": 3.0, "device_id: 0/temperature.gpu (°C)": 4.0}


@pytest.fixture(autouse=True)
def _own_folders(tmp_path, monkeypatch):
    for kind in ("DATA", "CACHE", "CONFIG"):
        monkeypatch.setenv(f"WANDB_{kind}_DIR", str(tmp_path / kind))


@pytest.fixture
def directory(tmp_path):
    (tmp_path / "run").mkdir()
    return tmp_path / "run"


def offline(directory):
    return OwnRunWandbLogger(directory, "project", None, "name", "offline", ["tag"])


def test_all_that_is_sent_is_in_the_file(directory, tmp_path, capfd) -> None:
    logger = offline(directory)
    checkpoint = tmp_path / "best.ckpt"
    checkpoint.write_bytes(b"weights")
    sending.send_metrics([logger], AWKWARD, 3)
    sending.send_image([logger], "gradcam/val", np.zeros((4, 4, 3), np.uint8), 4, "a caption")
    sending.send_text([logger], "notes", "# Text", 5)
    sending.send_table([logger], "matrix", ["true", "a"], [["a", 1], ["b", 2.5]], 6)
    sending.send_hyperparams([logger], {"trainer": {"epochs": 3, "none": None}})
    sending.send_hyperparams([logger], {"trainer": {"epochs": 9}})
    adapter_of(logger).log_artifact(checkpoint, "checkpoints", ["best"])
    logger.finalize("success")
    read = read_run(directory)
    by_step = {entry["trainer/global_step"]: entry for entry in read["history"]}
    assert {name: by_step[3][name] for name in AWKWARD} == AWKWARD
    assert by_step[4]["gradcam/val.caption"] == "a caption"
    assert by_step[5]["notes.nrows"] == 1
    assert by_step[6]["matrix.ncols"] == 2
    assert read["config"]["trainer"] == {"epochs": 9}
    [run] = set(read["ids"])
    assert (f"checkpoints-best.ckpt-{run}", {"latest", "best"}) in read["artifacts"]
    assert read["exit_codes"] == [0]
    assert capfd.readouterr() == ("", "")


def test_resume_goes_on_in_the_same_run(directory) -> None:
    for step in (1, 2):
        logger = offline(directory)
        logger.log_metrics({"loss": float(step)}, step)
        logger.finalize("success")
    read = read_run(directory)
    assert len(set(read["ids"])) == 1
    assert [entry["loss"] for entry in read["history"]] == [1.0, 2.0]


def test_another_project_is_another_run(directory) -> None:
    offline(directory).finalize("success")
    first = offline(directory)
    first.log_metrics({"loss": 1.0}, 1)
    first.finalize("success")
    second = OwnRunWandbLogger(directory, "other", None, "name", "offline")
    assert second.version != first.version


def test_run_of_this_process_is_not_joined(directory, tmp_path) -> None:
    import wandb

    earlier = wandb.init(mode="offline", dir=tmp_path, project="mine", settings=wandb.Settings(silent=True))
    logger = offline(directory)
    logger.log_metrics({"loss": 1.0}, 1)
    assert logger.experiment.id != earlier.id
    logger.finalize("success")
    assert wandb.run is earlier
    earlier.finish()


@pytest.mark.parametrize(("error", "code"), [(KeyboardInterrupt, 255), (ValueError, 1)])
def test_training_that_was_stopped_is_told_from_one_that_failed(directory, error, code) -> None:
    logger = offline(directory)
    logger.log_metrics({"loss": 1.0}, 1)
    with pytest.raises(error), ended_as_by_lightning(lambda: logger.finalize("failed")):
        raise error
    assert read_run(directory)["exit_codes"] == [code]


def test_page_tells_how_to_send_it(directory) -> None:
    logger = offline(directory)
    page = logger.page
    logger.finalize("success")
    [folder] = directory.glob("wandb/offline-run-*")
    assert page == f"offline; to upload it: wandb sync {folder}"


def test_readonly_logger_leaves_the_run_open(directory) -> None:
    logger = offline(directory)
    logger.log_metrics({"loss": 1.0}, 1)
    with readonly([logger]):
        logger.experiment.log({"drawn": 2.0})
        logger.log_metrics({"lost": 3.0}, 1)
        logger.finalize("success")
    logger.log_metrics({"loss": 4.0}, 2)
    logger.finalize("success")
    names = {name for entry in read_run(directory)["history"] for name in entry if not name.startswith("_")}
    assert names == {"loss", "drawn", "trainer/global_step"}


@pytest.mark.parametrize(("complete", "code"), [(True, 0), (False, 1)])
def test_run_that_was_reopened_to_send_keeps_its_status(directory, complete, code) -> None:
    logger = offline(directory)
    logger.log_metrics({"loss": 1.0}, 1)
    leave_trackers([logger], complete=complete)
    assert read_run(directory)["exit_codes"] == [code]


def test_loggers_of_lightning_are_known(directory, tmp_path) -> None:
    import wandb

    run = wandb.init(
        mode="offline", dir=directory, project="mine", reinit="create_new", settings=wandb.Settings(silent=True)
    )
    logger = WandbLogger(experiment=run)
    assert adapter_of(logger).place == f"wandb:/mine/{run.id}"
    assert not adapter_of(logger).has(tmp_path)
    adapter_of(logger).delete_artifact("no such file")
    run.finish()


def test_nothing_tells_the_command_line(directory, monkeypatch) -> None:
    monkeypatch.setattr("sys.argv", ["cuelight", "train", "tracker.mlflow.tracking_uri=http://ada:hopper@host"])
    logger = offline(directory)
    logger.log_metrics({"loss": 1.0}, 1)
    logger.finalize("success")
    read_run(directory)
    files = [path for path in directory.rglob("*") if path.is_file()]
    assert files
    assert not [path for path in files if b"hopper" in path.read_bytes()]


class OnlineRun:
    """What a run online would do; there is no W&B here."""

    offline, id, entity, project, url = False, "run1", "ada", "mine", "https://wandb.example/run1"

    def log_artifact(self, artifact, aliases):
        artifact.logged = aliases


class OnlineArtifact:
    """An artifact, the versions of which are given."""

    version, versions, logged = "v3", (), None

    def __init__(self, name, type):  # noqa: A002 - as W&B names it
        self.name = name

    def add_file(self, path, name):
        pass

    def wait(self):
        self.name += ":v3"

    @property
    def collection(self):
        if isinstance(self.versions, Exception):
            raise self.versions
        return types.SimpleNamespace(artifacts=lambda: self.versions)


class Version:
    """An earlier version."""

    def __init__(self, version, *aliases):
        self.version, self.aliases, self.deleted = version, list(aliases), False

    def delete(self):
        self.deleted = True


@pytest.fixture
def online(monkeypatch, tmp_path):
    """Send a file of which there are versions."""
    file = tmp_path / "best.ckpt"
    file.write_bytes(b"weights")

    def send(versions):
        monkeypatch.setattr("wandb.Artifact", type("Artifact", (OnlineArtifact,), {"versions": versions}))
        logger = types.SimpleNamespace(experiment=OnlineRun())
        return WandbAdapter(logger).log_artifact(file, "checkpoints", ["best"])

    return send


def test_online_the_newest_version_replaces_the_earlier_ones(online) -> None:
    versions = [Version("v3", "latest", "best"), Version("v2"), Version("v1", "shipped"), Version("v0")]
    assert online(versions) == "https://wandb.example/run1/checkpoints-best.ckpt-run1:v3"
    assert [version.version for version in versions if version.deleted] == ["v2", "v0"]


def test_online_a_version_that_cannot_be_removed_lets_no_upload_fail(online, caplog) -> None:
    assert online(PermissionError("no")).endswith(":v3")
    assert (
        "Earlier versions of checkpoints-best.ckpt-run1:v3 could not be deleted at W&B: PermissionError: no"
        in caplog.text
    )


def test_a_run_that_ends_while_a_file_is_sent_is_not_opened_again(tmp_path, monkeypatch) -> None:
    file = tmp_path / "best.ckpt"
    file.write_bytes(b"weights")
    logger = types.SimpleNamespace(experiment=OnlineRun())

    class Ending(OnlineArtifact):
        def wait(self):
            del logger.experiment

    monkeypatch.setattr("wandb.Artifact", Ending)
    assert WandbAdapter(logger).log_artifact(file)


def test_address_of_the_repository_is_not_sent(directory, monkeypatch) -> None:
    remote = "https://ada@example.org/digits.git?token=hidden"
    for command in (
        "init -q",
        "-c user.name=a -c user.email=a@b commit -q --allow-empty -m a",
        f"remote add origin {remote}",
    ):
        subprocess.run(["git", *command.split()], cwd=directory, check=True)
    monkeypatch.chdir(directory)
    logger = offline(directory)
    logger.log_metrics({"loss": 1.0}, 1)
    logger.finalize("success")
    wandb.teardown()  # its process may still be writing
    [sent] = directory.rglob("*.wandb")
    assert b"hidden" not in sent.read_bytes()


def test_what_to_do_without_a_login(directory, monkeypatch, tmp_path) -> None:
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "none"))
    logger = OwnRunWandbLogger(directory, "project", None, "name", "online")
    with pytest.raises(TrackerError, match=r"W&B cannot be used: .*\. Log in \(wandb login\).*tracker\.wandb=false"):
        start_trackers([logger])
