"""What is sent to a tracker beside a training, which neither waits for it nor fails with it."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from cuelight.redaction import reason_of

logger = logging.getLogger(__name__)

WAIT_AT_THE_END = 30.0  # seconds
_MOST_WAITING = 1000  # pictures and texts are held in memory
_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 30.0  # seconds between two tries
_TRIES_AT_THE_END = 3


@dataclass(frozen=True)
class _Job:
    what: str
    send: Callable[[], None]


class Delivery:
    """Does what it is given in a thread of its own, in order; what fails is tried again until it succeeds.

    Args:
        receiver: Who it is sent to, for messages.
        is_refusal: Whether an error means that the same would fail again, so that it is left out.
        pause: Seconds before the first new try; each pause is twice the one before.
    """

    def __init__(
        self, receiver: str, is_refusal: Callable[[Exception], bool] = lambda _: False, pause: float = _FIRST_PAUSE
    ) -> None:
        self._receiver = receiver
        self._is_refusal = is_refusal
        self._pause = pause
        self._jobs: deque[_Job] = deque()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._tries_left: int | None = None  # none while the training goes on
        self._said: set[str] = set()

    def put(self, what: str, send: Callable[[], None], *, unless_waiting: bool = False) -> None:
        """Have something sent.

        Args:
            what: What it is, for messages.
            send: Sends it.
            unless_waiting: Whether nothing is added where the last thing that waits is of the same name.
        """
        with self._changed:
            if len(self._jobs) >= _MOST_WAITING:
                self._say("full", "%s: too much is waiting to be sent; what comes now is left out.", self._receiver)
                return
            # The first one may be under way already.
            if not (unless_waiting and len(self._jobs) > 1 and self._jobs[-1].what == what):
                self._jobs.append(_Job(what, send))
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name=f"to {self._receiver}", daemon=True)
                self._thread.start()
            self._changed.notify_all()

    def finish(self, limit: float = WAIT_AT_THE_END) -> list[str]:
        """Wait until all is sent, and say what is not.

        Args:
            limit: For how many seconds at most. A tracker that fails a few times ends it before.

        Returns:
            What was not sent, each once.
        """
        until = time.monotonic() + limit
        with self._changed:
            self._tries_left = _TRIES_AT_THE_END
            self._changed.notify_all()
            self._changed.wait_for(lambda: not self._jobs or self._thread is None, limit)
            left = list(dict.fromkeys(job.what for job in self._jobs))
            self._jobs.clear()
            thread, self._thread, self._tries_left = self._thread, None, None
            self._changed.notify_all()
        if thread is not None and not left:
            thread.join(max(0.0, until - time.monotonic()))
        return left

    def _work(self) -> None:
        pause = self._pause
        while job := self._next():
            try:
                job.send()
            except Exception as error:  # noqa: BLE001 - a tracker may fail in any way
                if self._is_refusal(error):
                    self._say(job.what, "%s refused %s: %s", self._receiver, job.what, reason_of(error))
                else:
                    self._say("down", _DOWN, self._receiver, reason_of(error))
                    if not self._may_try_again(pause):
                        return
                    pause = min(2 * pause, _LONGEST_PAUSE)
                    continue
            pause = self._pause
            self._take_off(job)

    def _next(self) -> _Job | None:
        """The job to do; none when all is done and nothing more shall come."""
        with self._changed:
            self._changed.wait_for(lambda: self._jobs or self._is_over())
            return None if self._is_over() else self._jobs[0]

    def _is_over(self) -> bool:
        return self._thread is not threading.current_thread()

    def _take_off(self, job: _Job) -> None:
        with self._changed:
            if self._jobs and self._jobs[0] is job:
                self._jobs.popleft()
            self._changed.notify_all()

    def _may_try_again(self, pause: float) -> bool:
        with self._changed:
            self._changed.wait_for(lambda: self._tries_left is not None or self._is_over(), pause)
            if self._is_over():
                return False
            self._jobs.rotate(-1)  # what fails by itself alone holds nothing up
            if self._tries_left is None:
                return True
            self._tries_left -= 1
            if self._tries_left <= 0:
                self._thread = None
                self._changed.notify_all()
                return False
            return not self._changed.wait_for(self._is_over, self._pause)

    def _say(self, key: str, message: str, *arguments: str) -> None:
        if key not in self._said:
            self._said.add(key)
            logger.warning(message, *arguments)


_DOWN = "%s cannot be reached: %s. The training goes on; what it sends is kept in memory and tried again."
