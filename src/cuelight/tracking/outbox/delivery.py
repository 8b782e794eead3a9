"""What is sent to a tracker beside a training, which neither waits for it nor fails with it."""

from __future__ import annotations

import logging
import shutil
import tempfile
import threading
import time
import weakref
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from cuelight.tracking.outbox.daemon import daemon
from cuelight.tracking.outbox.deadline import AT_THE_END
from cuelight.utils.redaction import reason_of

logger = logging.getLogger(__name__)

_MOST_WAITING = 1000  # pictures and texts are held in memory
_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 30.0  # seconds between two tries
_TRIES_AT_THE_END = 3


@dataclass(frozen=True, eq=False)
class _Job:
    what: str
    send: Callable[[], object]
    comes_last: bool


class Delivery:
    """Does what it is given in a thread of its own, in order; what fails is tried again until it succeeds.

    While nothing arrives, all waits in its order. Only what fails while others arrive is put behind them.

    Args:
        receiver: Who it is sent to, for messages.
        is_refusal: Whether an error means that the same would fail again, so that it is left out.
        pause: Seconds before the first new try; each pause is twice the one before.

    Attributes:
        refused: What was left out because the receiver refused it, and how often.
    """

    def __init__(
        self, receiver: str, is_refusal: Callable[[Exception], bool] = lambda _: False, pause: float = _FIRST_PAUSE
    ) -> None:
        self.refused: Counter[str] = Counter()
        self._receiver = receiver
        self._is_refusal = is_refusal
        self._pause = pause
        self._jobs: list[_Job] = []
        self._under_way: _Job | None = None
        self._no_room_for: dict[str, None] = {}
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._tries_left: int | None = None  # none while the training goes on
        self._failed: set[str] = set()  # since something arrived
        self._said: set[str] = set()

    def put(
        self, what: str, send: Callable[[], object], *, unless_waiting: bool = False, comes_last: bool = False
    ) -> None:
        """Add a job; ``what`` names it in messages.

        With ``unless_waiting``, nothing is added if a job of the same name waits already. A job that ``comes_last`` is
        sent after all others.
        """
        with self._changed:
            if len(self._jobs) >= _MOST_WAITING and not comes_last:
                self._say("full", "%s: too much is waiting to be sent; what comes now is left out.", self._receiver)
                self._no_room_for[what] = None
                return
            if not (unless_waiting and any(job.what == what and job is not self._under_way for job in self._jobs)):
                self._jobs = _in_order([*self._jobs, _Job(what, send, comes_last)])
            if self._thread is None:
                self._thread = daemon(self._work, f"to {self._receiver}")
                self._thread.start()
            self._changed.notify_all()

    def put_file(self, file: Path, send: Callable[[Path], object]) -> None:
        """Add a job that sends a copy of a file as it is now. Raises ``OSError`` if it cannot be copied."""
        folder = tempfile.mkdtemp(prefix="cuelight-")
        copy = Path(folder) / file.name

        def send_copy() -> None:
            send(copy)

        weakref.finalize(send_copy, shutil.rmtree, folder, ignore_errors=True)
        shutil.copyfile(file, copy)
        self.put(f"file {file.name}", send_copy)

    def finish(self, limit: float = AT_THE_END) -> list[str]:
        """Wait for at most ``limit`` seconds until all is sent, and return the names of what was not.

        A tracker that fails a few times is not waited for any longer.
        """
        until = time.monotonic() + limit
        with self._changed:
            self._tries_left = _TRIES_AT_THE_END
            self._changed.notify_all()
            self._changed.wait_for(lambda: not self._jobs or self._thread is None, limit)
            left = list(dict.fromkeys([*(job.what for job in self._jobs), *self._no_room_for]))
            self._jobs, self._no_room_for = [], {}
            thread, self._thread, self._tries_left = self._thread, None, None
            self._changed.notify_all()
        if thread is not None and not left:
            thread.join(max(0.0, until - time.monotonic()))
        return left

    def _work(self) -> None:
        pause = self._pause
        while job := self._next():
            if self._is_done(job):
                pause = self._pause
            elif (other := self._another()) and self._is_done(other):
                pause = self._pause
                if not self._is_done(job):  # so it is not the receiver that was down
                    self._put_behind(job.what)
            elif self._may_try_again(pause):
                pause = min(2 * pause, _LONGEST_PAUSE)
            else:
                return

    def _next(self) -> _Job | None:
        """Return the next job; ``None`` when all is done and the delivery has ended."""
        with self._changed:
            self._changed.wait_for(lambda: self._jobs or self._is_over())
            return None if self._is_over() else self._jobs[0]

    def _another(self) -> _Job | None:
        """Return a job that was not tried since something arrived; ``None`` if all were, and all may be tried again."""
        with self._changed:
            untried = (job for job in self._jobs if job.what not in self._failed and not job.comes_last)
            found = None if self._is_over() else next(untried, None)
            if found is None:
                self._failed.clear()
            return found

    def _put_behind(self, what: str) -> None:
        with self._changed:
            others = [job for job in self._jobs if job.what != what]
            self._jobs = _in_order([*others, *(job for job in self._jobs if job.what == what)])

    def _is_over(self) -> bool:
        return self._thread is not threading.current_thread()

    def _is_done(self, job: _Job) -> bool:
        """Send a job, and remove it if it has arrived or was refused."""
        with self._changed:
            if self._is_over():
                return False
            self._under_way = job
        try:
            job.send()
        except Exception as error:  # noqa: BLE001 - a tracker may fail in any way
            if not self._is_refusal(error):
                self._say("down", _DOWN, self._receiver, reason_of(error))
                self._failed.add(job.what)
                self._leave(job, is_done=False)
                return False
            self._say(job.what, "%s refused %s: %s", self._receiver, job.what, reason_of(error))
            self.refused[job.what] += 1
        self._failed.clear()
        self._leave(job, is_done=True)
        return True

    def _leave(self, job: _Job, *, is_done: bool) -> None:
        with self._changed:
            if self._under_way is job:
                self._under_way = None
            if is_done:
                self._jobs = [other for other in self._jobs if other is not job]
                self._changed.notify_all()

    def _may_try_again(self, pause: float) -> bool:
        with self._changed:
            self._changed.wait_for(lambda: self._tries_left is not None or self._is_over(), pause)
            if self._is_over():
                return False
            if self._tries_left is None:
                return True
            self._tries_left -= 1
            if self._tries_left > 0:
                return not self._changed.wait_for(self._is_over, self._pause)
            last = [job for job in self._jobs if job.comes_last]
        for job in last:  # what fails by itself alone does not keep it back
            self._is_done(job)
        with self._changed:
            if not self._is_over():
                self._thread = None
                self._changed.notify_all()
        return False

    def _say(self, key: str, message: str, *arguments: str) -> None:
        if key not in self._said:
            self._said.add(key)
            logger.warning(message, *arguments)


def _in_order(jobs: Sequence[_Job]) -> list[_Job]:
    return sorted(jobs, key=lambda job: job.comes_last)


_DOWN = "%s cannot be reached: %s. The training goes on; what it sends is kept in memory and tried again."
