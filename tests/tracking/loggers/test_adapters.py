"""What a tracker takes besides metrics, with the loggers of Lightning that keep files."""

import os
import signal
import threading
from types import SimpleNamespace

import fsspec
import numpy as np
import pytest
import yaml
from lightning.pytorch.loggers import CSVLogger, Logger, TensorBoardLogger
from lightning.pytorch.utilities import rank_zero_only
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from cuelight.errors import TrackerError
from cuelight.tracking import sending
from cuelight.tracking.logger_adapter import adapter_of
from cuelight.tracking.loggers.build import start_trackers
from cuelight.tracking.loggers.tensorboard_logger import MirroredTensorBoardLogger, _pause
from cuelight.tracking.loggers.wandb_adapter import WandbAdapter
from cuelight.utils.journal import lacking
from support.trackers import LONGEST


def events_of(folder):
    events = EventAccumulator(str(folder), size_guidance={"images": 0, "tensors": 0})
    events.Reload()
    return events


def text(events, name):
    return events.Tensors(f"{name}/text_summary")[-1].tensor_proto.string_val[0].decode()


@pytest.fixture
def tensorboard(tmp_path):
    return TensorBoardLogger(tmp_path / "tb", name="", version="", default_hp_metric=False)


def test_tensorboard_takes_all(tensorboard, tmp_path) -> None:
    picture = np.full((4, 6, 3), 200, np.uint8)
    sending.send_metrics([tensorboard], {"device_id: 0/temperature.gpu (°C)": 40.0}, 3)
    sending.send_image([tensorboard], "gradcam/val", picture, 4)
    sending.send_text([tensorboard], "notes", "# Text", 5)
    sending.send_table([tensorboard], "matrix", ["true", "a|b"], [["a", 1], ["b", 2.5]], 6)
    sending.send_hyperparams([tensorboard], {"trainer": {"epochs": 3}})
    sending.send_hyperparams([tensorboard], {"seed": None})
    tensorboard.finalize("success")
    events = events_of(tmp_path / "tb")
    assert [(point.step, point.value) for point in events.Scalars("device_id: 0/temperature.gpu (°C)")] == [(3, 40.0)]
    [image] = events.Images("gradcam/val")
    assert (image.step, image.width, image.height) == (4, 6, 4)
    assert text(events, "notes") == "# Text"
    assert text(events, "matrix").splitlines() == ["| true | a\\|b |", "| --- | --- |", "| a | 1 |", "| b | 2.5 |"]
    assert "| trainer.epochs | 3 |\n| seed | null |" in text(events, "hyperparameters")
    assert yaml.safe_load((tmp_path / "tb" / "hparams.yaml").read_text()) == {"trainer": {"epochs": 3}, "seed": None}


def test_csv_takes_numbers_and_files(tmp_path) -> None:
    logger = CSVLogger(tmp_path / "csv", name="", version="")
    outside = tmp_path / "best.ckpt"
    outside.write_bytes(b"weights")
    sending.send_metrics([logger], {"load (%)": 3.0}, 2)
    sending.send_image([logger], "picture", np.zeros((2, 2, 3), np.uint8), 2)
    sending.send_text([logger], "notes", "text", 2)
    sending.send_table([logger], "matrix", ["a"], [[1]], 2)
    sending.send_artifact([logger], outside, "checkpoints")
    sending.send_artifact([logger], tmp_path / "csv" / "metrics.csv")  # is there already
    assert (tmp_path / "csv" / "metrics.csv").read_text() == "load (%),step\n3.0,2\n"
    assert (tmp_path / "csv" / "checkpoints" / "best.ckpt").read_bytes() == b"weights"
    assert {path.name for path in (tmp_path / "csv").iterdir()} == {"metrics.csv", "checkpoints"}


class Numbers(Logger):
    """A logger of one's own that takes numbers alone."""

    name, version = "numbers", "0"

    def __init__(self):
        self.got = []

    def log_metrics(self, metrics, step=None):
        self.got.append((metrics, step))

    def log_hyperparams(self, params):
        self.got.append(params)


class Everything(Numbers):
    """A logger of one's own that takes pictures too."""


class EverythingTracker:
    """What it takes."""

    def __init__(self, logger):
        self.logger = logger

    def log_image(self, name, image, step, caption=""):
        self.logger.got.append((name, image.shape, step, caption))


adapter_of.register(Everything, EverythingTracker)


def test_logger_of_ones_own_joins_by_registration() -> None:
    plain, registered = Numbers(), Everything()
    sending.send_image([plain, registered], "picture", np.zeros((2, 3, 3), np.uint8), 7, "caption")
    assert plain.got == []
    assert registered.got == [("picture", (2, 3, 3), 7, "caption")]


def test_adapter_that_cannot_be_made_takes_nothing_with_it(caplog) -> None:
    class Strange(Numbers):
        """A logger whose adapter fails."""

    def fail(logger):
        raise RuntimeError("wrong version")

    adapter_of.register(Strange, fail)
    after = Everything()
    sending.send_metrics([Strange(), Numbers()], {"loss": 1.0}, 1)
    sending.send_image([Strange(), after], "picture", np.zeros((2, 3, 3), np.uint8), 7)
    assert [type(tracker) for tracker in sending.adapters_of([Strange(), after])] == [EverythingTracker]
    assert after.got == [("picture", (2, 3, 3), 7, "")]
    assert caplog.messages == [
        f"Strange could not log {what}: RuntimeError: wrong version" for what in ("loss", "picture", "anything")
    ]


def test_one_that_fails_takes_nothing_with_it(caplog) -> None:
    class Failing(Numbers):
        def log_metrics(self, metrics, step=None):
            raise ConnectionError("nobody there")

    after = Numbers()
    sending.send_metrics([Failing(), after], {"loss": 1.0}, 1)
    assert after.got == [({"loss": 1.0}, 1)]
    assert caplog.messages == ["Failing could not log loss: ConnectionError: nobody there"]


def test_password_in_an_error_of_a_tracker_is_not_logged(caplog) -> None:
    class Failing(Numbers):
        def log_metrics(self, metrics, step=None):
            raise ConnectionError("no answer from https://ada:hunter2xyz@example.org")

    sending.send_metrics([Failing()], {"loss": 1.0}, 1)
    assert "no answer from https://REDACTED@example.org" in caplog.text


def test_other_ranks_send_nothing(monkeypatch) -> None:
    logger = Everything()
    monkeypatch.setattr(rank_zero_only, "rank", 1)
    sending.send_metrics([logger], {"loss": 1.0}, 1)
    sending.send_hyperparams([logger], {"seed": 1})
    sending.send_image([logger], "picture", np.zeros((2, 3, 3), np.uint8), 7)
    assert logger.got == []


def test_event_files_are_copied_elsewhere(tmp_path) -> None:
    mirror = f"memory://{tmp_path.name}/run"
    logger = MirroredTensorBoardLogger(tmp_path / "run", mirror)
    logger.begin()
    logger.log_metrics({"loss": 1.0}, 1)
    logger.finalize("success")
    [written] = (tmp_path / "run").glob("events.out.tfevents.*")
    assert fsspec.filesystem("memory").cat_file(f"{mirror}/{written.name}") == written.read_bytes()
    assert adapter_of(logger).place == mirror


def test_file_goes_to_the_copies_as_it_was(tmp_path) -> None:
    mirror = tmp_path / "mirror"
    logger = MirroredTensorBoardLogger(tmp_path / "run", str(mirror))
    file = tmp_path / "notes.txt"
    file.write_text("first")
    where = adapter_of(logger).log_artifact(file, "texts", wait=False)
    file.unlink()
    logger.finalize("success")
    assert (mirror / "texts" / "notes.txt").read_text() == "first"
    assert where == str(mirror / "texts" / "notes.txt")


def test_the_last_events_are_copied_also_if_a_copy_is_under_way(tmp_path, monkeypatch) -> None:
    logger = MirroredTensorBoardLogger(tmp_path / "run", str(tmp_path / "mirror"))
    under_way, go_on, copy = threading.Event(), threading.Event(), logger.copy_files

    def slow_copy():
        copy()
        under_way.set()
        assert go_on.wait(LONGEST)

    monkeypatch.setattr(logger, "copy_files", slow_copy)
    logger.log_metrics({"loss": 1.0}, 1)
    monkeypatch.setattr(logger, "_copied_at", float("-inf"))
    logger.save()
    assert under_way.wait(LONGEST)
    logger.log_metrics({"loss": 0.5}, 2)
    ending = threading.Thread(target=logger.finalize, args=("success",))
    ending.start()
    while "2 event files" not in lacking(tmp_path / "run").get(f"TensorBoard at {tmp_path / 'mirror'}", ""):
        ending.join(0.01)
    go_on.set()
    ending.join(LONGEST)
    [written] = (tmp_path / "run").glob("events.*")
    assert (tmp_path / "mirror" / written.name).read_bytes() == written.read_bytes()


def test_a_resume_copies_what_an_earlier_process_could_not(tmp_path) -> None:
    (tmp_path / "mirror").write_text("no folder")
    first = MirroredTensorBoardLogger(tmp_path / "run", str(tmp_path / "mirror"))
    first.log_metrics({"loss": 1.0}, 1)
    first.finalize("success")
    (tmp_path / "mirror").unlink()
    second = MirroredTensorBoardLogger(tmp_path / "run", str(tmp_path / "mirror"), resumed_from=2)
    second.begin()
    second.log_metrics({"loss": 0.5}, 2)
    second.finalize("success")
    copied = {file.name: file.read_bytes() for file in (tmp_path / "mirror").glob("events.*")}
    assert copied == {file.name: file.read_bytes() for file in (tmp_path / "run").glob("events.*")}
    assert lacking(tmp_path / "run") == {}


def test_large_files_are_copied_less_often() -> None:
    assert _pause(0) == _pause(1_000_000)
    assert _pause(320_000_000) == 20 * _pause(0)


def test_file_is_sent_to_wandb_without_waiting(tmp_path) -> None:
    from wandb.errors import CommError

    file = tmp_path / "notes.txt"
    file.write_text("text")
    logged = []

    def wait(artifact):
        raise CommError("no answer")

    class Run:
        id, offline, url = "1", False, "https://wandb.ai/run"

        def log_artifact(self, artifact, aliases):
            artifact.wait = lambda: wait(artifact)
            logged.append(aliases)

    tracker = WandbAdapter(SimpleNamespace(experiment=Run()))
    tracker.log_artifact(file, wait=False)
    with pytest.raises(CommError):
        tracker.log_artifact(file)
    assert logged == [["latest"], ["latest"]]


def test_trackers_that_had_begun_end_where_another_one_cannot(tmp_path) -> None:
    (tmp_path / "file").write_text("no folder")
    first = MirroredTensorBoardLogger(tmp_path / "first", str(tmp_path / "mirror"))
    second = MirroredTensorBoardLogger(tmp_path / "second", str(tmp_path / "file"))
    ended = []
    first.finalize = ended.append
    second.finalize = lambda _: ended.append("second")
    with pytest.raises(TrackerError):
        start_trackers([first, second])
    assert ended == ["failed"]


def test_trackers_that_had_begun_end_at_ctrl_c_while_another_one_hangs(tmp_path) -> None:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    first, second = (MirroredTensorBoardLogger(tmp_path / name, str(tmp_path / "mirror")) for name in ("1", "2"))
    ended, released = [], threading.Event()
    first.finalize = ended.append

    def hang() -> None:
        os.kill(os.getpid(), signal.SIGINT)
        released.wait()

    second.begin = hang
    try:
        with pytest.raises(KeyboardInterrupt):
            start_trackers([first, second])
    finally:
        released.set()
        signal.signal(signal.SIGINT, before)
    assert ended == ["failed"]


def test_place_that_is_gone_does_not_end_a_training_and_gets_its_files_later(tmp_path, caplog) -> None:
    (tmp_path / "file").write_text("no folder")
    logger = MirroredTensorBoardLogger(tmp_path / "run", str(tmp_path / "file"))
    logger.log_metrics({"loss": 1.0}, 1)
    logger.finalize("success")
    assert f"TensorBoard at {tmp_path / 'file'} lacks event files not sent yet (" in caplog.text
    assert lacking(tmp_path / "run") == {f"TensorBoard at {tmp_path / 'file'}": "event files not sent yet"}
    (tmp_path / "file").unlink()
    later = MirroredTensorBoardLogger(tmp_path / "run", str(tmp_path / "file"))
    later.outbox.send_waiting()
    later.outbox.drain(LONGEST)
    [copied] = (tmp_path / "file").glob("events.*")
    assert copied.read_bytes() == next((tmp_path / "run").glob("events.*")).read_bytes()
    assert lacking(tmp_path / "run") == {}
    assert [point.value for point in events_of(tmp_path / "run").Scalars("loss")] == [1.0]
