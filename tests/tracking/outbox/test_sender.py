"""What fails is tried again, and nobody waits for it longer than he wants to."""

import threading

import pytest

from cuelight.tracking.outbox.sender import Sender
from support.trackers import LONGEST


class Work:
    """Fails as often as it is told to."""

    def __init__(self, *failures):
        self.failures = list(failures)
        self.calls = 0
        self.entered, self.gate = threading.Event(), threading.Event()
        self.gate.set()

    def __call__(self):
        self.calls += 1
        self.entered.set()
        assert self.gate.wait(LONGEST)
        if self.failures:
            raise self.failures.pop(0)


def started(work, pauses=(0.001,)):
    sender = Sender("a tracker", work, pauses)
    sender.wake()
    return sender


def test_each_call_that_comes_during_another_is_served_by_one_more() -> None:
    work = Work()
    work.gate.clear()
    sender = started(work)
    assert work.entered.wait(LONGEST)
    for _ in range(50):
        sender.wake()
    assert not sender.wait(0)
    work.gate.set()
    assert sender.wait(LONGEST)
    assert work.calls == 2


def test_what_failed_is_tried_again_with_growing_pauses(monkeypatch, caplog) -> None:
    pauses = []
    work = Work(ConnectionError("gone"), OSError("still gone"), ValueError("no"), TimeoutError("slow"))
    sender = Sender("a tracker", work, (0.001, 0.002, 0.003))
    real = sender._changed.wait_for
    monkeypatch.setattr(
        sender._changed, "wait_for",
        lambda predicate, timeout=None: pauses.append(timeout) or real(predicate, timeout),
    )  # fmt: skip
    sender.wake()
    assert sender.wait(LONGEST)
    assert [pause for pause in pauses if pause and pause < 1] == [0.001, 0.002, 0.003, 0.003]
    assert (sender.failure, sender.attempts, work.calls) == (None, 0, 5)
    [warning] = [record.message for record in caplog.records if record.levelname == "WARNING"]
    assert warning.startswith("a tracker did not take what was sent: ConnectionError: gone.")


def test_a_pause_can_be_cut_short() -> None:
    sender = started(Work(ConnectionError("gone")), pauses=(3600,))
    assert not sender.wait(LONGEST, attempts=1)
    assert (sender.failure, sender.attempts) == ("ConnectionError: gone", 1)
    sender.hurry()
    assert sender.wait(LONGEST)


def test_a_failure_is_left_to_whoever_waits(caplog) -> None:
    sender = Sender("a tracker", Work(*[ConnectionError("gone")] * 1000), (0.0,))
    sender.hurry()
    sender.wake()
    assert not sender.wait(LONGEST, attempts=3)
    sender.close()
    assert (sender.failure, caplog.messages) == ("ConnectionError: gone", [])


def test_a_few_attempts_are_enough_where_a_person_waits() -> None:
    work = Work(*[ConnectionError("gone")] * 1000)
    sender = started(work)
    sender.hurry()
    assert not sender.wait(LONGEST, attempts=3)
    sender.close()
    assert work.calls < 1000


def test_nobody_waits_longer_than_the_limit_for_a_tracker_that_hangs() -> None:
    work = Work()
    work.gate.clear()
    sender = started(work)
    assert not sender.wait(0.05)
    work.gate.set()


@pytest.mark.parametrize("hangs", [True, False], ids=["during a transfer", "during a pause"])
def test_one_that_was_closed_ends_and_can_begin_again(hangs) -> None:
    work = Work() if hangs else Work(ConnectionError("gone"))
    sender = Sender("a tracker", work, (3600,))
    if hangs:
        work.gate.clear()
    sender.wake()
    assert work.entered.wait(LONGEST) if hangs else not sender.wait(LONGEST, attempts=1)
    thread = sender._thread
    sender.close()
    work.gate.set()
    thread.join(LONGEST)
    assert not thread.is_alive()
    assert not sender.wait(0)
    sender.wake()
    assert sender.wait(LONGEST)
    assert work.calls == 2


def test_password_in_an_error_is_not_shown(caplog) -> None:
    sender = started(Work(ConnectionError("no answer from https://ada:hunter2xyz@example.org")), pauses=(3600,))
    sender.wait(LONGEST, attempts=1)
    assert sender.failure == "ConnectionError: no answer from https://REDACTED@example.org"
    assert "hunter2xyz" not in caplog.text
    sender.close()
