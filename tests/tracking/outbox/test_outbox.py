"""What waits for a tracker arrives in order, once, and is on the disk until it has arrived."""

import logging
import threading

import pytest

from cuelight.tracking.outbox.outbox import METRICS, Outbox
from cuelight.utils.journal import lacking
from cuelight.utils.locks import LockedError, locked
from support.trackers import LONGEST


class Receiver:
    """Takes entries, unless it is down, or does not take these at all."""

    def __init__(self):
        self.got, self.tries = [], []
        self.broken, self.refused = set(), set()
        self.is_up, self.is_back = True, threading.Event()
        self.returns_for = None  # what it is tried with when it is up again, after some time

    def __call__(self, entries):
        names = [entry.what for entry in entries]
        self.tries.append(names)
        if len(self.tries) > 20 and names == [self.returns_for]:
            self.is_up = True
            self.is_back.set()
        if self.refused & set(names):
            raise KeyError("no such thing")
        if not self.is_up or self.broken & set(names):
            raise ConnectionError("nobody there")
        self.got += [(entry.what, entry.file.read_text() if entry.file else entry.payload) for entry in entries]

    def names(self):
        return [name for name, _ in self.got]


@pytest.fixture
def receiver():
    return Receiver()


@pytest.fixture
def outbox(receiver, tmp_path):
    return made(receiver, tmp_path)


def made(receiver, directory):
    def is_refusal(error):
        return isinstance(error, KeyError)

    return Outbox(directory, "mlflow", "http://x", "a tracker", receiver, is_refusal, pauses=(0.01,))


def fill(outbox, *names):
    for name in names:
        outbox.add(name, METRICS if name.startswith("metrics") else name, {})


def test_all_arrives_in_order(receiver, outbox, tmp_path) -> None:
    names = [f"number {number}" for number in range(100)]
    fill(outbox, *names)
    outbox.drain()
    assert receiver.names() == names
    assert lacking(tmp_path) == {}


def test_metrics_are_sent_many_at_a_time(receiver, tmp_path) -> None:
    receiver.is_up = False
    first = made(receiver, tmp_path)
    fill(first, *[f"metrics {number}" for number in range(250)], "text", "metrics")
    first.drain()
    receiver.is_up, receiver.tries = True, []
    second = made(receiver, tmp_path)
    second.send_waiting()
    second.drain()
    assert [len(names) for names in receiver.tries] == [100, 100, 50, 1, 1]


def test_order_is_kept_while_the_tracker_is_down(receiver, outbox) -> None:
    receiver.is_up, receiver.returns_for = False, "text 1"
    names = ["text 1", "text 2", "metrics", "text 2", "text 3", "the end"]
    fill(outbox, *names)
    assert receiver.is_back.wait(LONGEST)
    outbox.drain(LONGEST)
    assert receiver.names() == names


def test_those_that_always_fail_hold_nothing_up(receiver, outbox, tmp_path) -> None:
    receiver.broken = {"picture 1", "picture 2"}
    fill(outbox, "picture 1", "picture 2", "metrics", "text", "the end")
    outbox.drain(LONGEST)
    assert sorted(receiver.names()) == ["metrics", "text", "the end"]
    assert lacking(tmp_path) == {"a tracker": "picture 1, picture 2 not sent yet"}


def test_what_is_refused_is_left_out_and_named_once(receiver, outbox, caplog, tmp_path) -> None:
    receiver.refused = {"picture"}
    fill(outbox, "picture", "picture", "text", "picture")
    outbox.drain(LONGEST)
    assert receiver.names() == ["text"]
    assert lacking(tmp_path) == {"a tracker": "3 picture refused"}
    messages = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert messages == ["a tracker refused picture: KeyError: 'no such thing'", "a tracker lacks 3 picture refused."]


def test_one_that_is_refused_takes_no_other_with_it(receiver, tmp_path) -> None:
    receiver.is_up = False
    first = made(receiver, tmp_path)
    fill(first, "metrics 1", "metrics 2", "metrics 3")
    first.drain()
    receiver.is_up, receiver.refused = True, {"metrics 2"}
    second = made(receiver, tmp_path)
    second.send_waiting()
    second.drain()
    assert receiver.names() == ["metrics 1", "metrics 3"]
    assert lacking(tmp_path) == {"a tracker": "metrics 2 refused"}


def test_a_file_is_sent_as_it_was(receiver, outbox, tmp_path) -> None:
    receiver.is_up = False
    for content in ("first", "second"):
        outbox.add(
            "file notes.txt", "artifact", {"file": "notes.txt"}, lambda copy, text=content: copy.write_text(text)
        )
    receiver.is_up = True
    outbox.drain(LONGEST)
    assert sorted(content for _, content in receiver.got) == ["first", "second"]
    assert list((tmp_path / "outbox").iterdir()) == []


def test_it_goes_on_after_its_end(receiver, outbox) -> None:
    for name in ("first", "second"):
        fill(outbox, name)
        outbox.drain(LONGEST)
    assert receiver.names() == ["first", "second"]


def test_two_processes_send_nothing_twice(receiver, outbox, tmp_path) -> None:
    """The second one has read the queue before the first one has sent it."""
    receiver.is_up = False
    fill(outbox, "text 1", "text 2")
    outbox.drain()
    second = made(receiver, tmp_path)
    receiver.is_up = True
    [folder] = (tmp_path / "outbox").iterdir()
    with locked(folder):
        second.send_waiting()
        second.drain()
    assert receiver.names() == []
    outbox.send_waiting()
    outbox.drain(LONGEST)
    second.send_waiting()
    second.drain(LONGEST)
    assert receiver.names() == ["text 1", "text 2"]


def test_the_journal_is_locked_while_it_is_sent(outbox, receiver, tmp_path, monkeypatch) -> None:
    seen = []

    def look(entries):
        [folder] = (tmp_path / "outbox").iterdir()
        with pytest.raises(LockedError), locked(folder):
            pass
        seen.extend(entries)

    monkeypatch.setattr(outbox, "_send", look)
    fill(outbox, "text")
    outbox.drain(LONGEST)
    assert [entry.what for entry in seen] == ["text"]
