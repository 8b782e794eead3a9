"""How long the end of a training may take for its trackers, all of them together."""

from __future__ import annotations

import sys
import time

from cuelight.errors import TrainingInterrupted

AT_THE_END = 30.0  # seconds
AFTER_A_STOP = 5.0  # who stops a training does not want to wait
_LEAST = 1.0  # for a tracker whose turn comes when the others have used up the time


def was_stopped() -> bool:
    """Return whether the exception that is being handled is that of a training stopped by a signal."""
    return isinstance(sys.exc_info()[1], (KeyboardInterrupt, SystemExit, TrainingInterrupted))


class Deadline:
    """The time that the trackers of a training share at its end."""

    def __init__(self) -> None:
        self._until = 0.0
        self._asked: set[str] = set()

    def seconds_for(self, tracker: str) -> float:
        """Return the seconds that are left for one tracker, at least one.

        The first tracker that ends starts the clock, and so does one that ends a second time.
        """
        if not self._asked or tracker in self._asked:
            self._until = time.monotonic() + (AFTER_A_STOP if was_stopped() else AT_THE_END)
            self._asked.clear()
        self._asked.add(tracker)
        return max(_LEAST, self._until - time.monotonic())
