"""The best checkpoint at all trackers of a training."""

import os
from datetime import timedelta
from urllib.request import Request, urlopen

import boto3
import pytest
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
from moto.server import ThreadedMotoServer
from s3fs import S3FileSystem

from cuelight.errors import UploadError
from cuelight.tracking.loggers.tensorboard_logger import MirroredTensorBoardLogger
from cuelight.tracking.outbox.spool import Spool
from cuelight.tracking.outbox.uploads import Uploads, is_sending, remove_spools, spooled_trainings
from cuelight.weights.best import BestCheckpoint
from support.trackers import LONGEST, KeepingLogger, KeepingTracker


@pytest.fixture
def best(tmp_path):
    file = tmp_path / "checkpoints" / "best_loss.ckpt"
    file.parent.mkdir()
    file.write_bytes(os.urandom(10_000))
    return BestCheckpoint(file, "val/loss", "min", 0.5)


def wait(uploads, seconds=LONGEST, attempts=None):
    shown = []
    uploads.wait(timedelta(seconds=seconds), lambda *seen: shown.append(seen), attempts)
    return shown


def test_one_tracker_that_hangs_does_not_hold_up_another(tmp_path, best) -> None:
    hanging, other = KeepingTracker(tmp_path / "a"), KeepingTracker(tmp_path / "b")
    hanging.gate.clear()
    uploads = Uploads(tmp_path, "a1", [KeepingLogger(hanging), KeepingLogger(other)])
    uploads.offer(best, 4)
    with pytest.raises(UploadError, match=r"Keeping: not done after 0.5 s") as raised:
        wait_for(uploads, other)
    assert "Keeping-2" not in str(raised.value)
    assert is_sending(tmp_path)
    hanging.gate.set()
    wait(uploads)
    uploads.close()
    assert list(uploads.sent()) == ["Keeping", "Keeping-2"]
    assert not is_sending(tmp_path)


def wait_for(uploads, other):
    """Wait for the one that does not hang, and then a little for both."""
    assert uploads._uploaders[1].sender.wait(LONGEST)
    assert other.sent
    uploads.wait(timedelta(seconds=0.5), lambda *_: None)


def test_attempts_are_limited_where_a_person_waits(tmp_path, best) -> None:
    tracker = KeepingTracker(tmp_path / "a")
    tracker.failures = [ConnectionError("gone.")] * 1000
    uploads = Uploads(tmp_path, "a1", [KeepingLogger(tracker)], pauses=(0.001,))
    uploads.offer(best, 4)
    with pytest.raises(UploadError, match=r"Keeping: ConnectionError: gone\. It waits"):
        wait(uploads, attempts=3)
    uploads.close()


@pytest.mark.parametrize(
    ("of_cuelight", "told"),
    [(True, "Send it with: cuelight upload 'a run'"), (False, "It is sent when the training is resumed.")],
)
def test_what_to_do_is_told_by_what_can_be_done(tmp_path, best, of_cuelight, told, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    directory = tmp_path / "a run"
    directory.mkdir()
    if of_cuelight:
        (directory / "config.yaml").touch()
    tracker = KeepingTracker(tmp_path / "a")
    tracker.failures = [ConnectionError("gone")]
    uploads = Uploads(directory, "a1", [KeepingLogger(tracker)], pauses=(3600,))
    uploads.offer(best, 4)
    with pytest.raises(UploadError) as raised:
        wait(uploads, 0)
    uploads.close()
    assert str(raised.value).endswith(f"a1. {told}")


def test_what_an_abandoned_training_left_is_removed_and_what_is_being_sent_is_not(tmp_path, best) -> None:
    tracker = KeepingTracker(tmp_path / "a")
    tracker.gate.clear()
    uploads = Uploads(tmp_path, "live", [KeepingLogger(tracker)])
    uploads.offer(best, 4)
    assert tracker.entered.wait(LONGEST)
    Spool(tmp_path / "spool" / "abandoned" / "Keeping").put(best.path, "best.ckpt", 4, 0.5)
    remove_spools(tmp_path)
    assert spooled_trainings(tmp_path) == ["live"]
    tracker.gate.set()
    wait(uploads)
    uploads.close()
    assert len(tracker.sent) == 1
    remove_spools(tmp_path)
    assert spooled_trainings(tmp_path) == []


def test_where_nothing_is_needed(tmp_path, best) -> None:
    def reason(*loggers):
        return Uploads(tmp_path, "a1", loggers).reason_for_none(best.path)

    around = CSVLogger(tmp_path, name="", version="")
    assert reason() == "no tracker takes files."
    assert reason(around).startswith("CSV keeps its logs in the folder around the checkpoint")
    assert reason(around, TensorBoardLogger(tmp_path, "", "")).startswith("CSV and TensorBoard keep their logs")
    assert reason(around, CSVLogger(tmp_path / "elsewhere")) is None


def test_a_training_is_found_by_what_it_left(tmp_path, best) -> None:
    for training in ("b2", "a1"):
        uploads = Uploads(tmp_path, training, [KeepingLogger(KeepingTracker(tmp_path / "there"))])
        uploads.offer(best, 4)
        wait(uploads)
        uploads.close()
    os.utime(tmp_path / "spool" / "b2" / "Keeping", (1, 1))
    os.utime(tmp_path / "spool" / "b2", (1, 1))
    assert spooled_trainings(tmp_path) == ["b2", "a1"]


@pytest.fixture
def s3(monkeypatch):
    """A client of an S3 server on loopback, with a bucket."""
    server = ThreadedMotoServer("127.0.0.1", 0)
    server.start()
    host, port = server.get_host_and_port()
    S3FileSystem.clear_instance_cache()  # of those that know the server of another test
    for name, value in {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}", "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    urlopen(Request(f"http://{host}:{port}/moto-api/reset", method="POST")).close()  # it is one for all of a process
    client = boto3.client("s3")
    client.create_bucket(Bucket="bucket")
    yield client
    server.stop()


@pytest.mark.parametrize(
    ("logger", "key"),
    [
        (lambda folder: MirroredTensorBoardLogger(folder, "s3://bucket/logs/run"), "logs/run/checkpoints/best.ckpt"),
        (lambda _: TensorBoardLogger("s3://bucket/logs", "", ""), "logs/checkpoints/a1/best.ckpt"),
    ],
    ids=["mirror", "logger"],
)
def test_a_log_directory_on_s3(s3, tmp_path, best, logger, key) -> None:
    uploads = Uploads(tmp_path, "a1", [logger(tmp_path)])
    uploads.offer(best, 4)
    wait(uploads)
    uploads.close()
    assert s3.get_object(Bucket="bucket", Key=key)["Body"].read() == best.path.read_bytes()
    assert uploads.sent()["TensorBoard"].where == f"s3://bucket/{key}"
    assert [entry["Key"] for entry in s3.list_objects_v2(Bucket="bucket")["Contents"]] == [key]
