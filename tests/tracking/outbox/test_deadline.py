"""The trackers of a training share one time at its end."""

from types import SimpleNamespace

import pytest

from cuelight.tracking.outbox import deadline
from cuelight.tracking.outbox.deadline import AFTER_A_STOP, AT_THE_END, Deadline
from support.trackers import ended_as_by_lightning


@pytest.fixture
def clock(monkeypatch):
    played = SimpleNamespace(now=1000.0)
    monkeypatch.setattr(deadline, "time", SimpleNamespace(monotonic=lambda: played.now))
    return played


def test_what_one_takes_the_next_one_does_not_have(clock) -> None:
    shared = Deadline()
    assert shared.seconds_for("first") == AT_THE_END
    clock.now += 20
    assert shared.seconds_for("second") == AT_THE_END - 20
    clock.now += 20
    assert shared.seconds_for("third") == 1.0


def test_one_that_ends_once_more_begins_anew(clock) -> None:
    shared = Deadline()
    shared.seconds_for("first")
    clock.now += 50
    assert shared.seconds_for("first") == AT_THE_END
    clock.now += 10
    assert shared.seconds_for("second") == AT_THE_END - 10


@pytest.mark.parametrize(
    ("error", "seconds"), [(KeyboardInterrupt, AFTER_A_STOP), (SystemExit, AFTER_A_STOP), (ValueError, AT_THE_END)]
)
@pytest.mark.usefixtures("clock")
def test_who_stops_a_training_waits_for_little(error, seconds) -> None:
    allowed = []
    with pytest.raises(error), ended_as_by_lightning(lambda: allowed.append(Deadline().seconds_for("first"))):
        raise error
    assert allowed == [seconds]
