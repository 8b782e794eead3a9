"""What is sent beside a training: all of it, in order, and nobody waits for a tracker that is down."""

import gc
import logging
import threading

import pytest

from cuelight.tracking.outbox.delivery import Delivery


class Receiver:
    """Takes what it is sent, unless it is down."""

    def __init__(self):
        self.got = []
        self.tries = 0
        self.is_up = threading.Event()
        self.was_tried = threading.Event()

    def taking(self, what):
        def send():
            self.tries += 1
            self.was_tried.set()
            if not self.is_up.is_set():
                raise ConnectionError("nobody there")
            self.got.append(what)

        return send


@pytest.fixture
def receiver():
    return Receiver()


@pytest.fixture
def delivery():
    return Delivery("a tracker", lambda error: isinstance(error, KeyError), pause=0.01)


def test_all_arrives_in_order(receiver, delivery) -> None:
    receiver.is_up.set()
    for number in range(100):
        delivery.put(f"number {number}", receiver.taking(number))
    assert delivery.finish() == []
    assert receiver.got == list(range(100))


def test_what_failed_is_sent_when_the_tracker_is_back(receiver, delivery, caplog) -> None:
    delivery.put("metrics", receiver.taking(1))
    assert receiver.was_tried.wait(30)
    receiver.is_up.set()
    assert delivery.finish() == []
    assert receiver.got == [1]
    assert caplog.text.count("a tracker cannot be reached: ConnectionError: nobody there. The training goes on") == 1


def test_what_is_never_sent_is_named_once(receiver, delivery) -> None:
    for number in range(5):
        delivery.put("metrics", receiver.taking(number))
    delivery.put("text", receiver.taking("text"))
    assert sorted(delivery.finish()) == ["metrics", "text"]
    assert receiver.got == []


def test_nobody_waits_longer_than_the_limit_for_a_tracker_that_hangs(delivery) -> None:
    answer = threading.Event()
    delivery.put("metrics", answer.wait)
    assert delivery.finish(0.05) == ["metrics"]
    answer.set()


def test_one_thing_that_always_fails_holds_nothing_up(receiver, delivery) -> None:
    receiver.is_up.set()

    def broken():
        raise ConnectionError("this alone")

    delivery.put("picture", broken)
    delivery.put("metrics", receiver.taking(1))
    assert delivery.finish() == ["picture"]
    assert receiver.got == [1]


def test_order_is_kept_while_the_tracker_is_down(receiver, delivery) -> None:
    was_down_twice = threading.Event()

    def first():
        if receiver.tries > 3:
            was_down_twice.set()
        receiver.taking("text 1")()

    delivery.put("text 1", first)
    for name in ("text 2", "metrics", "text 2"):
        delivery.put(name, receiver.taking(name))
    delivery.put("how it ended", receiver.taking("how it ended"), comes_last=True)
    delivery.put("text 3", receiver.taking("text 3"))
    assert was_down_twice.wait(30)
    receiver.is_up.set()
    assert delivery.finish() == []
    order = [name for name in receiver.got if name != "text 1"]  # one that was tried in between may come before it
    assert order == ["text 2", "metrics", "text 2", "text 3", "how it ended"]
    assert receiver.got.index("text 1") <= 1


def test_two_that_always_fail_hold_nothing_up_and_the_end_is_sent(receiver, delivery) -> None:
    receiver.is_up.set()

    def broken():
        raise ConnectionError("this alone")

    for name in ("picture 1", "picture 2"):
        delivery.put(name, broken)
    for number in range(3):
        delivery.put("metrics", receiver.taking(number))
    delivery.put("how it ended", receiver.taking("end"), comes_last=True)
    assert sorted(delivery.finish()) == ["picture 1", "picture 2"]
    assert receiver.got == [0, 1, 2, "end"]


def test_file_is_sent_as_it_was(delivery, tmp_path) -> None:
    file = tmp_path / "notes.txt"
    file.write_text("first")
    go, got = threading.Event(), []

    def send(copy):
        assert go.wait(30)
        got.append((copy, copy.name, copy.read_text()))

    delivery.put_file(file, send)
    file.write_text("second")
    delivery.put_file(file, send)
    file.unlink()
    go.set()
    assert delivery.finish() == []
    assert [entry[1:] for entry in got] == [("notes.txt", "first"), ("notes.txt", "second")]
    gc.collect()
    assert not any(copy.parent.exists() for copy, *_ in got)


def test_what_is_refused_is_left_out_and_said_once(receiver, delivery, caplog) -> None:
    receiver.is_up.set()

    def refused():
        raise KeyError("no such metric")

    for _ in range(3):
        delivery.put("metrics", refused)
    delivery.put("text", receiver.taking("text"))
    assert delivery.finish() == []
    assert receiver.got == ["text"]
    assert delivery.refused == {"metrics": 3}
    messages = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert messages == ["a tracker refused metrics: KeyError: 'no such metric'"]


@pytest.mark.parametrize("error", [ConnectionError, KeyError], ids=["down", "refused"])
def test_password_in_an_error_is_not_logged(error, delivery, caplog) -> None:
    def failing():
        raise error("no answer from https://ada:hunter2xyz@example.org")

    delivery.put("metrics", failing)
    delivery.finish()
    assert "no answer from https://REDACTED@example.org" in caplog.text


def test_it_goes_on_after_its_end(receiver, delivery) -> None:
    receiver.is_up.set()
    delivery.put("first", receiver.taking(1))
    assert delivery.finish() == []
    delivery.put("second", receiver.taking(2))
    assert delivery.finish() == []
    assert receiver.got == [1, 2]


def test_one_that_waits_is_enough_where_it_takes_all(delivery) -> None:
    began, go, ran = threading.Event(), threading.Event(), []

    def send():
        began.set()
        assert go.wait(30)
        ran.append(1)

    delivery.put("metrics", send, unless_waiting=True)
    assert began.wait(30)
    for _ in range(50):
        delivery.put("metrics", send, unless_waiting=True)
    go.set()
    assert delivery.finish() == []
    assert len(ran) == 2  # the one under way, and one behind it


def test_memory_does_not_fill_up(delivery, caplog) -> None:
    answer = threading.Event()
    for number in range(1200):
        delivery.put(f"picture {number}", answer.wait)
    assert [record.getMessage() for record in caplog.records] == [
        "a tracker: too much is waiting to be sent; what comes now is left out."
    ]
    answer.set()
    assert delivery.finish() == [f"picture {number}" for number in range(1000, 1200)]
    assert delivery.finish() == []
