"""The best checkpoint goes to the trackers beside the training, in anyone's trainer."""

import shutil
import signal

import lightning.pytorch as pl
import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger

from cuelight.callbacks.added.last_checkpoint import LastCheckpoint
from cuelight.callbacks.upload_checkpoint import UploadCheckpoint
from cuelight.errors import TrainingInterrupted
from cuelight.tracking.outbox.spool import Spool
from cuelight.train_end.finished_training import FinishedTraining
from cuelight.train_end.from_trainer import finished_by
from cuelight.train_end.outcomes import TrainEndError, read_outcomes
from cuelight.train_end.verifying import verify
from cuelight.utils.files import sha256_of
from cuelight.weights.best import BestCheckpoint
from cuelight.weights.checkpoint_io import AtomicCheckpointIO
from cuelight.weights.fingerprint import fingerprint_of_file
from support.ranks import on_ranks
from support.tiny import TinyModel
from support.trackers import LONGEST, KeepingLogger, KeepingTracker
from support.trainers import fit


class Scripted(TinyModel):
    """TinyModel whose validation loss is given for each validation."""

    def __init__(self, losses):
        super().__init__()
        self.losses = list(losses)

    def validation_step(self, batch, batch_idx):
        self.log("val/accuracy", 0.5, batch_size=len(batch[0]))

    def on_validation_epoch_end(self):
        if not self.trainer.sanity_checking:
            self.log("val/loss", torch.tensor(self.losses.pop(0)))


def keeping(folder, name="there", **options):
    return KeepingTracker(folder / name, **options)


def uploading(keep=1, timeout="1m", pauses=(0.001,)):
    callback = UploadCheckpoint(keep, timeout)
    callback.pauses = pauses
    return callback


def best(**options):
    return ModelCheckpoint(monitor="val/loss", filename="best_loss", enable_version_counter=False, **options)


def train(folder, *callbacks, tracker, losses=(3.0, 2.0, 2.5, 1.0), resume=None, epochs=None, loggers=(), **settings):
    trainer, _ = fit(
        folder, callbacks, lambda: Scripted(losses), resume=resume, max_epochs=epochs or len(losses),
        logger=[*loggers, KeepingLogger(tracker)], log_every_n_steps=1, plugins=[AtomicCheckpointIO()], **settings,
    )  # fmt: skip
    return trainer


class Wait(pl.Callback):
    """Waits at the end of an epoch until the tracker has a number of files."""

    def __init__(self, tracker, counts):
        self.tracker = tracker
        self.counts = list(counts)

    def on_train_epoch_start(self, trainer, pl_module):
        wanted = self.counts.pop(0)
        for callback in trainer.callbacks:
            if isinstance(callback, UploadCheckpoint):
                for uploader in callback._uploads._uploaders:
                    assert uploader.sender.wait(LONGEST)
        assert len(self.tracker.sent) == wanted


def checkpoint_of(folder):
    (file,) = folder.rglob("best_loss.ckpt")
    return file


@pytest.mark.parametrize("order", ["before", "after"])
def test_each_new_best_is_sent_as_soon_as_it_is_saved(tmp_path, order) -> None:
    tracker, callback = keeping(tmp_path), uploading()
    wait = Wait(tracker, [0, 1, 2, 2])
    callbacks = [callback, best()] if order == "before" else [best(), callback]
    train(tmp_path, *callbacks, wait, tracker=tracker)
    assert len(tracker.sent) == 3
    assert tracker.names() == ["checkpoints/best.ckpt"]
    assert sha256_of(tracker.folder / "checkpoints" / "best.ckpt") == sha256_of(checkpoint_of(tmp_path))


def test_what_was_uploaded_is_recorded_and_can_be_verified(tmp_path) -> None:
    tracker, callback = keeping(tmp_path), uploading()
    trainer = train(tmp_path, callback, best(dirpath=tmp_path / "checkpoints"), tracker=tracker)
    outcome = read_outcomes(tmp_path)["UploadCheckpoint"]
    file = tmp_path / "checkpoints" / "best_loss.ckpt"
    assert (outcome.status, outcome.checkpoint) == ("ok", "checkpoints/best_loss.ckpt")
    assert outcome.weights_fingerprint == fingerprint_of_file(file)
    assert outcome.details["uploads"] == {
        "Keeping": {
            "place": str(tracker.folder), "name": "best.ckpt", "sha256": sha256_of(file), "step": 20, "score": 1.0,
            "where": str(tracker.folder / "checkpoints" / "best.ckpt"),
        }
    }  # fmt: skip
    training = finished_by(trainer, trainer.lightning_module, tmp_path)
    assert callback.is_done(training, outcome)
    assert [check.ok for check in verify(training.directory)] == [True, True]
    file.write_bytes(file.read_bytes() + b"x")
    assert not callback.is_done(training, outcome)
    assert [check.subject for check in verify(training.directory) if not check.ok] == ["Keeping: best.ckpt"]


def test_only_the_state_of_the_uploads_remains(tmp_path) -> None:
    tracker, callback = keeping(tmp_path), uploading()
    train(tmp_path, callback, best(), tracker=tracker)
    assert {path.name for path in (tmp_path / "spool").rglob("*") if path.is_file()} == {".lock", "state.json"}
    assert not list(tmp_path.rglob("*.partial"))


def test_a_best_that_was_replaced_before_it_was_sent_is_left_out(tmp_path) -> None:
    tracker, callback = keeping(tmp_path), uploading()
    tracker.gate.clear()

    class Open(pl.Callback):
        def on_train_end(self, trainer, pl_module):
            tracker.gate.set()

    losses = [float(20 - epoch) for epoch in range(11)]
    train(tmp_path, Open(), best(), callback, tracker=tracker, losses=losses)
    # The first; perhaps the one that waits when the end begins; the best of the last epoch, which is noticed then.
    assert len(tracker.sent) <= 3
    assert tracker.sent[-1][1] == checkpoint_of(tmp_path).read_bytes()


def test_a_best_in_the_middle_of_an_epoch_is_sent(tmp_path) -> None:
    tracker, callback = keeping(tmp_path), uploading(keep=9)
    train(
        tmp_path, callback, best(save_on_train_epoch_end=False), tracker=tracker, losses=(3.0, 2.0, 1.0),
        val_check_interval=2, epochs=1, num_sanity_val_steps=0,
    )  # fmt: skip
    assert tracker.names()[-1] == "checkpoints/best-4.ckpt"


def test_the_newest_are_kept_by_their_steps(tmp_path) -> None:
    tracker, callback = keeping(tmp_path), uploading(keep=2)
    train(tmp_path, best(), callback, Wait(tracker, [0, 1, 2, 2]), tracker=tracker)
    assert tracker.names() == ["checkpoints/best-10.ckpt", "checkpoints/best-20.ckpt"]


def test_the_best_by_validation_loss_among_several(tmp_path) -> None:
    tracker, callback = keeping(tmp_path), uploading()
    accuracy = ModelCheckpoint(monitor="val/accuracy", mode="max", filename="best_accuracy")
    every = ModelCheckpoint(every_n_train_steps=1, filename="any")
    train(tmp_path, accuracy, every, best(), callback, tracker=tracker)
    assert tracker.sent[-1][1] == checkpoint_of(tmp_path).read_bytes()
    assert len(tracker.sent) <= 3


def test_a_tracker_that_keeps_its_logs_around_the_checkpoint_gets_no_copy(tmp_path) -> None:
    tracker, callback = keeping(tmp_path, "."), uploading()
    tracker.folder = tmp_path
    train(tmp_path, best(), callback, tracker=tracker)
    assert tracker.sent == []
    assert not (tmp_path / "spool").exists()
    assert (callback.outcome.status, callback.outcome.reason) == (
        "skipped",
        "Keeping keeps its logs in the folder around the checkpoint, so it is there already and is not copied.",
    )


def test_a_tracker_elsewhere_gets_it_beside_one_around_the_checkpoint(tmp_path) -> None:
    tracker, callback = keeping(tmp_path), uploading()
    train(tmp_path, best(), callback, tracker=tracker, loggers=[CSVLogger(tmp_path, name="", version="")])
    assert list(callback.outcome.details["uploads"]) == ["Keeping"]


def test_two_runs_in_one_folder_send_to_places_of_their_own(tmp_path) -> None:
    first, second = keeping(tmp_path, shared=True), keeping(tmp_path, shared=True)
    for tracker, losses in ((first, (2.0, 1.0)), (second, (4.0, 3.0))):
        train(tmp_path, best(dirpath=tmp_path / str(losses)), uploading(), tracker=tracker, losses=losses)
    files = sorted(tmp_path.rglob("best.ckpt"))
    assert len(files) == 2
    assert {sha256_of(file) for file in files} == {sha256_of(file) for file in tmp_path.rglob("best_loss.ckpt")}
    assert len(list((tmp_path / "spool").iterdir())) == 2


def test_a_resume_sends_nothing_again(tmp_path) -> None:
    tracker = keeping(tmp_path, shared=True)
    saved = tmp_path / "checkpoints"
    train(tmp_path, best(dirpath=saved), uploading(), LastCheckpoint(), tracker=tracker, losses=(2.0, 1.0))
    before = list(tracker.sent)
    last = saved / "last.ckpt"
    train(tmp_path, best(dirpath=saved), uploading(), tracker=tracker, losses=(5.0, 5.0), resume=last, epochs=4)
    assert tracker.sent == before
    train(tmp_path, best(dirpath=saved), uploading(), tracker=tracker, losses=(0.5, 5.0), resume=last, epochs=4)
    assert len(tracker.sent) == len(before) + 1
    assert len(tracker.names()) == 1


def test_a_tracker_that_stays_down_fails_the_step_and_keeps_the_file(tmp_path) -> None:
    tracker, callback = keeping(tmp_path), uploading(timeout="0.3s", pauses=(0.01,))
    tracker.failures = [ConnectionRefusedError(f"try {number}") for number in range(10000)]
    with pytest.raises(TrainEndError) as raised:
        train(tmp_path, best(), callback, tracker=tracker)
    assert "Keeping: ConnectionRefusedError: try" in str(raised.value)
    assert "It is sent when the training is resumed." in str(raised.value)
    assert waiting(tmp_path) == checkpoint_of(tmp_path).read_bytes()


def waiting(folder):
    (spool,) = (folder / "spool").glob("*/Keeping")
    return Spool(spool).claim().file.read_bytes()


def test_the_step_can_be_done_later(tmp_path) -> None:
    test_a_tracker_that_stays_down_fails_the_step_and_keeps_the_file(tmp_path)
    tracker, later, file = keeping(tmp_path), uploading(), checkpoint_of(tmp_path)
    kept = [BestCheckpoint(file, "val/loss", "min", 1.0)]
    training = FinishedTraining(tmp_path, lambda _: None, lambda: kept, loggers=[KeepingLogger(tracker)])
    outcome = later.run(training)
    assert outcome.status == "ok", outcome
    assert tracker.sent == [("best.ckpt", file.read_bytes())]
    assert {path.name for path in (tmp_path / "spool").rglob("*") if path.is_file()} == {".lock", "state.json"}


def test_what_waits_is_sent_also_if_its_checkpoint_was_deleted(tmp_path) -> None:
    test_a_tracker_that_stays_down_fails_the_step_and_keeps_the_file(tmp_path)
    tracker, later = keeping(tmp_path), uploading()
    content = checkpoint_of(tmp_path).read_bytes()
    checkpoint_of(tmp_path).unlink()
    outcome = later.run(FinishedTraining(tmp_path, lambda _: None, list, loggers=[KeepingLogger(tracker)]))
    assert outcome.status == "skipped"
    assert tracker.sent == [("best.ckpt", content)]


class Stop(pl.Callback):
    """Ends the training in its third epoch."""

    def __init__(self, how):
        self.how = how

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        if trainer.current_epoch == 2 and batch_idx == 0:
            self.how()


@pytest.mark.parametrize("kind", ["exception", "signal"])
def test_an_interrupted_training_waits_for_nothing(tmp_path, kind) -> None:
    tracker, callback = keeping(tmp_path), uploading(timeout="1h", pauses=(3600,))
    tracker.failures = [ConnectionError("gone")]
    ending = {"exception": (fail, ZeroDivisionError), "signal": (interrupt, TrainingInterrupted)}[kind]
    with pytest.raises(ending[1]):
        train(tmp_path, best(), callback, Stop(ending[0]), LastCheckpoint(), tracker=tracker)
    assert tracker.sent == []
    assert waiting(tmp_path) == checkpoint_of(tmp_path).read_bytes()
    assert "UploadCheckpoint" not in read_outcomes(tmp_path)


def fail():
    raise ZeroDivisionError


def interrupt():
    signal.raise_signal(signal.SIGINT)


def test_a_resume_sends_what_an_interrupted_training_left(tmp_path) -> None:
    test_an_interrupted_training_waits_for_nothing(tmp_path, "signal")
    tracker, (last,) = keeping(tmp_path), tmp_path.rglob("last.ckpt")
    folder = checkpoint_of(tmp_path).parent
    train(tmp_path, best(dirpath=folder), uploading(), tracker=tracker, losses=(9.0, 9.0), resume=last, epochs=4)
    assert tracker.sent == [("best.ckpt", checkpoint_of(tmp_path).read_bytes())]


@pytest.mark.parametrize("spooled", [True, False])
def test_what_was_saved_before_a_resume_keeps_its_step(tmp_path, spooled) -> None:
    tracker, folder = keeping(tmp_path), tmp_path / "checkpoints"
    tracker.failures = [ConnectionError("gone")] * 1000
    callbacks = [best(dirpath=folder), uploading(keep=2, pauses=(3600,)), Stop(fail), LastCheckpoint(dirpath=folder)]
    with pytest.raises(ZeroDivisionError):
        train(tmp_path, *callbacks, tracker=tracker, losses=(1.0, 2.0, 3.0))
    if not spooled:
        shutil.rmtree(tmp_path / "spool")
    tracker.failures = []
    callbacks = [best(dirpath=folder), uploading(keep=2)]
    last = folder / "last.ckpt"
    train(tmp_path, *callbacks, tracker=tracker, losses=(9.0, 9.0), resume=last, epochs=4)
    assert [name for name, _ in tracker.sent] == ["best-5.ckpt"]
    assert callbacks[1].outcome.details["uploads"]["Keeping"]["step"] == 5


class Unreadable(float):
    """A score on a device that has failed."""

    def __float__(self):
        raise RuntimeError("CUDA error: device-side assert triggered")


class LosesTheDevice(pl.Callback):
    """Fails together with the device, and notes which hooks ran afterwards."""

    told = False

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        if trainer.current_epoch == 2:
            trainer.checkpoint_callbacks[0].best_model_score = Unreadable()
            raise ZeroDivisionError

    def on_exception(self, trainer, pl_module, exception):
        self.told = True


def test_a_score_that_cannot_be_read_any_more_hides_no_error_and_skips_no_hook(tmp_path, caplog) -> None:
    tracker, callback, after = keeping(tmp_path), uploading(), LosesTheDevice()
    with pytest.raises(ZeroDivisionError):
        train(tmp_path, best(), callback, after, tracker=tracker)
    assert after.told
    assert callback._uploads is None
    assert "RuntimeError: CUDA error: device-side assert triggered" in caplog.text


def test_without_room_for_the_spool_the_training_goes_on(tmp_path, caplog) -> None:
    tracker, callback = keeping(tmp_path), uploading()
    (tmp_path / "spool").write_text("no folder")
    with pytest.raises(TrainEndError):
        train(tmp_path, best(), callback, tracker=tracker)
    assert "best_loss.ckpt cannot be put into the spool, so it is not uploaded yet: [Errno 20]" in caplog.text
    assert checkpoint_of(tmp_path).is_file()


def test_fast_dev_run_sends_nothing(tmp_path) -> None:
    tracker, callback = keeping(tmp_path), uploading()
    train(tmp_path, best(), callback, tracker=tracker, fast_dev_run=True)
    assert tracker.sent == []
    assert callback.outcome.status == "skipped"


def test_the_loss_is_the_same_with_and_without(tmp_path) -> None:
    traces = []
    for callbacks in ([best()], [best(), uploading()]):
        trainer = train(tmp_path / str(len(callbacks)), *callbacks, tracker=keeping(tmp_path))
        traces.append(trainer.lightning_module.trace)
    assert traces[0] == traces[1]


@pytest.mark.parametrize("parameters", [{"keep": 0}, {"timeout": "soon"}])
def test_refuses_parameters_that_make_no_sense(parameters) -> None:
    with pytest.raises(ValueError, match="expected"):
        UploadCheckpoint(**parameters)


def on_two_ranks(folder):
    tracker = KeepingTracker(folder / "there")
    train(
        folder,
        best(),
        uploading(),
        tracker=tracker,
        strategy="ddp",
        devices=2,
        num_nodes=1,
        use_distributed_sampler=False,
    )
    return len(tracker.sent)


@pytest.mark.slow
def test_one_rank_uploads(tmp_path) -> None:
    counts = on_ranks(on_two_ranks, tmp_path)
    assert counts[0] >= 1
    assert counts[1] == 0
