"""One file after another to one tracker, beside what else is going on."""

import threading

import pytest

from cuelight.tracking.outbox.spool import Spool
from cuelight.tracking.outbox.uploader import Uploader
from cuelight.utils.files import sha256_of
from support.trackers import LONGEST, KeepingTracker


class Setting:
    """A folder with a tracker, a spool and a checkpoint that changes."""

    def __init__(self, folder):
        self.tracker = KeepingTracker(folder / "there")
        self.spool = Spool(folder / "spool")
        self.checkpoint = folder / "best_loss.ckpt"
        self.uploaders = []

    def uploader(self, keep=1, pauses=(0.001,)):
        made = Uploader("Keeping", self.tracker, self.spool, "checkpoints", keep, pauses)
        made.resume()
        self.uploaders.append(made)
        return made

    def offer(self, uploader, content, step=1, name="best.ckpt"):
        self.checkpoint.unlink(missing_ok=True)  # as ModelCheckpoint does
        self.checkpoint.write_bytes(content)
        uploader.offer(self.checkpoint, name, step, 1 / step)

    def left(self):
        return sorted(path.name for path in self.spool.folder.rglob("*"))


@pytest.fixture
def setting(tmp_path):
    made = Setting(tmp_path)
    yield made
    made.tracker.gate.set()
    for uploader in made.uploaders:
        uploader.sender.close()


def test_a_file_is_sent_and_nothing_remains_but_the_state(setting) -> None:
    uploader = setting.uploader()
    setting.offer(uploader, b"one", step=4)
    assert uploader.sender.wait(LONGEST)
    assert setting.tracker.sent == [("best.ckpt", b"one")]
    assert setting.tracker.aliases == [["best"]]
    assert setting.left() == [".lock", "state.json"]
    assert (uploader.current.step, uploader.current.score) == (4, 0.25)
    assert uploader.current.where == str(setting.tracker.folder / "checkpoints" / "best.ckpt")


def test_offering_waits_for_nothing(setting) -> None:
    setting.tracker.gate.clear()
    uploader = setting.uploader()
    setting.offer(uploader, b"one")
    assert setting.tracker.entered.wait(LONGEST)
    setting.offer(uploader, b"two")
    assert not uploader.sender.wait(0)
    assert setting.tracker.sent == []


def test_of_ten_during_one_slow_upload_the_last_is_sent(setting) -> None:
    setting.tracker.gate.clear()
    uploader = setting.uploader()
    setting.offer(uploader, b"0")
    assert setting.tracker.entered.wait(LONGEST)
    for step in range(1, 11):
        setting.offer(uploader, f"{step}".encode(), step)
    assert len([name for name in setting.left() if name == "best.ckpt"]) == 2
    setting.tracker.gate.set()
    assert uploader.sender.wait(LONGEST)
    assert setting.tracker.sent == [("best.ckpt", b"0"), ("best.ckpt", b"10")]
    assert setting.left() == [".lock", "state.json"]


def failing(setting, error=None):
    """An uploader that has failed, and pauses for long."""
    setting.tracker.failures = [error or ConnectionError("gone")]
    uploader = setting.uploader(pauses=(3600,))
    setting.offer(uploader, b"one")
    assert not poll(uploader, lambda: uploader.sender.failure)
    return uploader


def poll(uploader, condition):
    waits = 0
    while not condition() and waits < LONGEST * 100:
        waits += 1
        uploader.sender.wait(0.01)
    return waits == LONGEST * 100


def test_a_password_in_the_address_is_told_to_nobody(setting, caplog) -> None:
    setting.tracker.place = "ftp://ada:hopper@example.org/logs"
    uploader = failing(setting, error=OSError("ftp://ada:hopper@example.org/logs is away"))
    assert uploader.sender.failure == "OSError: ftp://REDACTED@example.org/logs is away"
    uploader.sender.hurry()
    assert uploader.sender.wait(LONGEST)
    assert "hopper" not in caplog.text + (setting.spool.folder / "state.json").read_text()


def test_a_newer_file_is_sent_in_place_of_one_that_failed(setting) -> None:
    uploader = failing(setting)
    setting.offer(uploader, b"two")
    uploader.sender.hurry()
    assert uploader.sender.wait(LONGEST)
    assert setting.tracker.sent == [("best.ckpt", b"two")]


def test_closing_does_not_wait_for_a_transfer(setting) -> None:
    setting.tracker.gate.clear()
    uploader = setting.uploader()
    setting.offer(uploader, b"one")
    assert setting.tracker.entered.wait(LONGEST)
    uploader.sender.close()
    assert setting.tracker.sent == []


class EndsTheRun(KeepingTracker):
    """A tracker whose run would be opened again by whoever asks for it."""

    ended = False

    @property
    def place(self):
        assert not self.ended, "opened again"
        return str(self.folder)

    @place.setter
    def place(self, value):
        pass

    def delete_artifact(self, name, folder=""):
        assert not self.ended, "opened again"
        super().delete_artifact(name, folder)


@pytest.fixture
def ending(setting):
    setting.tracker = EndsTheRun(setting.tracker.folder)
    return setting


def test_what_was_closed_while_a_file_was_hashed_asks_no_tracker(ending, monkeypatch) -> None:
    hashing, go_on = threading.Event(), threading.Event()

    def slow(file):
        hashing.set()
        assert go_on.wait(LONGEST)
        return sha256_of(file)

    monkeypatch.setattr("cuelight.tracking.outbox.uploader.sha256_of", slow)
    uploader = ending.uploader()
    ending.offer(uploader, b"one")
    assert hashing.wait(LONGEST)
    thread = uploader.sender._thread
    uploader.sender.close()
    ending.tracker.ended = True
    go_on.set()
    thread.join(LONGEST)
    assert uploader.sender.failure is None
    assert ending.tracker.sent == []
    assert ending.spool.claim().file.read_bytes() == b"one"


def test_what_was_closed_while_a_file_was_sent_leaves_the_older_one_to_the_next(ending) -> None:
    uploader = ending.uploader()
    ending.offer(uploader, b"1", 1, "best-1.ckpt")
    assert uploader.sender.wait(LONGEST)
    ending.tracker.entered.clear()
    ending.tracker.gate.clear()
    ending.offer(uploader, b"2", 2, "best-2.ckpt")
    assert ending.tracker.entered.wait(LONGEST)
    thread = uploader.sender._thread
    uploader.sender.close()
    ending.tracker.ended = True
    ending.tracker.gate.set()
    thread.join(LONGEST)
    assert uploader.sender.failure is None
    assert ending.left() == [".lock", "state.json"]
    ending.tracker.ended = False
    later = ending.uploader()
    ending.offer(later, b"2", 2, "best-2.ckpt")
    assert later.sender.wait(LONGEST)
    assert ending.tracker.names() == ["checkpoints/best-2.ckpt"]
    assert len(ending.tracker.sent) == 2


def test_the_next_one_waits_for_a_transfer_of_the_one_before(setting) -> None:
    setting.tracker.gate.clear()
    first = setting.uploader()
    setting.offer(first, b"one")
    assert setting.tracker.entered.wait(LONGEST)
    first.sender.close()
    second = setting.uploader()
    assert not poll(second, lambda: second.sender.failure)
    assert "another process, or a training that was stopped" in second.sender.failure
    setting.tracker.gate.set()
    assert second.sender.wait(LONGEST)
    assert setting.tracker.sent == [("best.ckpt", b"one")]


def test_what_waits_is_sent_by_the_next_one(setting) -> None:
    setting.spool.put(write(setting, b"one"), "best.ckpt", 1, 0.5)
    assert setting.uploader().sender.wait(LONGEST)
    assert setting.tracker.sent == [("best.ckpt", b"one")]


def write(setting, content):
    setting.checkpoint.write_bytes(content)
    return setting.checkpoint


def test_the_same_bytes_are_not_sent_again(setting) -> None:
    first = setting.uploader()
    setting.offer(first, b"one")
    assert first.sender.wait(LONGEST)
    first.sender.close()
    second = setting.uploader()
    setting.offer(second, b"one", step=2)
    assert second.sender.wait(LONGEST)
    assert len(setting.tracker.sent) == 1
    assert second.current.step == 1
    assert setting.left() == [".lock", "state.json"]


def test_another_place_gets_the_same_bytes(setting) -> None:
    uploader = setting.uploader()
    setting.offer(uploader, b"one")
    assert uploader.sender.wait(LONGEST)
    setting.tracker.place = "elsewhere"
    setting.offer(uploader, b"one")
    assert uploader.sender.wait(LONGEST)
    assert len(setting.tracker.sent) == 2


def test_what_was_replaced_there_is_sent_again(setting) -> None:
    uploader = setting.uploader()
    for content in (b"one", b"two", b"one"):
        setting.offer(uploader, content)
        assert uploader.sender.wait(LONGEST)
    assert [content for _, content in setting.tracker.sent] == [b"one", b"two", b"one"]


def test_the_newest_are_kept(setting) -> None:
    uploader = setting.uploader(keep=2)
    for step in (1, 2, 3, 4):
        setting.offer(uploader, f"{step}".encode(), step, f"best-{step}.ckpt")
        assert uploader.sender.wait(LONGEST)
    assert setting.tracker.names() == ["checkpoints/best-3.ckpt", "checkpoints/best-4.ckpt"]
    assert [sent.step for sent in setting.spool.read_sent()] == [3, 4]


def test_what_is_no_longer_kept_after_a_change_is_removed(setting) -> None:
    test_the_newest_are_kept(setting)
    setting.uploaders[0].sender.close()
    uploader = setting.uploader(keep=1)
    setting.offer(uploader, b"5", 5)
    assert uploader.sender.wait(LONGEST)
    assert setting.tracker.names() == ["checkpoints/best.ckpt"]


def test_a_tracker_that_does_not_delete_gets_nothing_twice(setting) -> None:
    uploader = setting.uploader(keep=1)
    setting.offer(uploader, b"1", 1, "best-1.ckpt")
    assert uploader.sender.wait(LONGEST)
    there = setting.tracker.folder / "checkpoints" / "best-1.ckpt"
    there.rename(there.with_name("away"))
    setting.offer(uploader, b"2", 2, "best-2.ckpt")
    assert not poll(uploader, lambda: uploader.sender.attempts > 1)
    assert "FileNotFoundError" in uploader.sender.failure
    there.with_name("away").rename(there)
    assert uploader.sender.wait(LONGEST)
    assert [content for _, content in setting.tracker.sent] == [b"1", b"2"]


def test_a_file_that_was_changed_meanwhile_does_not_count_as_sent(setting) -> None:
    """Lightning's own plugin may write into the file that is linked."""
    setting.tracker.gate.clear()
    uploader = setting.uploader()
    setting.offer(uploader, b"one")
    assert setting.tracker.entered.wait(LONGEST)
    setting.checkpoint.write_bytes(b"other")
    setting.tracker.gate.set()
    assert uploader.sender.wait(LONGEST)
    assert setting.tracker.sent == [("best.ckpt", b"one"), ("best.ckpt", b"other")]


def test_a_state_that_cannot_be_written_lets_nothing_be_sent_twice(setting, monkeypatch, caplog) -> None:
    monkeypatch.setattr(setting.spool, "write_sent", full)
    uploader = setting.uploader()
    for _ in range(2):
        setting.offer(uploader, b"one")
        assert uploader.sender.wait(LONGEST)
    assert len(setting.tracker.sent) == 1
    assert "may be sent again: [Errno 28] No space left on device" in caplog.text


def full(*_):
    raise OSError(28, "No space left on device")
