"""A thread that sends what waits for a tracker, and tries again when that fails."""

from __future__ import annotations

import itertools
import logging
import threading
from collections.abc import Callable, Iterator, Sequence

from cuelight.utils.background import start_background
from cuelight.utils.locks import LockedError
from cuelight.utils.redaction import reason_of

logger = logging.getLogger(__name__)

PAUSES = (1.0, 2.0, 5.0, 10.0, 20.0, 40.0, 60.0)


class Sender:
    """Calls ``send`` in a thread of its own each time it is woken, until it succeeds.

    The thread is a daemon, so that a server that does not answer cannot keep the process alive.

    Args:
        receiver: The name of the tracker in messages.
        send: Sends all that waits. Raises if something could not be sent: it is then called again after a pause.
        pauses: Seconds before each further attempt after a failure; the last one repeats.

    Attributes:
        failure: Why the last attempt failed; ``None`` if it succeeded.
        attempts: How many attempts in a row have failed since the last ``hurry``.
    """

    def __init__(self, receiver: str, send: Callable[[], object], pauses: Sequence[float] = PAUSES) -> None:
        self.failure: str | None = None
        self.attempts = 0
        self._receiver = receiver
        self._send = send
        self._pauses = pauses
        self._next_pause = _growing(pauses)
        self._changed = threading.Condition()
        self._woken, self._served = 0, 0
        self._is_urgent = False
        self._is_awaited = False
        self._thread: threading.Thread | None = None

    def wake(self) -> None:
        """Have everything sent that waits now; return at once."""
        with self._changed:
            self._woken += 1
            if self._thread is None:
                self._thread = start_background(self._run, f"send to {self._receiver}")
            self._changed.notify_all()

    def hurry(self) -> None:
        """Try again now, and begin with short pauses. Whoever waits then reports a failure."""
        with self._changed:
            self._is_awaited = True
            self._is_urgent = True
            self.attempts = 0
            self._next_pause = _growing(self._pauses)
            self._changed.notify_all()

    def wait(self, seconds: float, attempts: int | None = None) -> bool:
        """Wait until all was sent, and return whether it was.

        Args:
            seconds: How long to wait at most.
            attempts: After how many failed attempts to stop waiting; ``None`` for no limit.
        """
        with self._changed:
            self._changed.wait_for(
                lambda: self._is_idle() or (attempts is not None and self.attempts >= attempts), seconds
            )
            return self._is_idle()

    def close(self) -> None:
        """Stop the thread, without waiting for a transfer under way; ``wake`` starts another one."""
        with self._changed:
            self._thread = None
            self._changed.notify_all()

    def is_closed(self) -> bool:
        """Return whether the calling thread was told to stop while it was sending."""
        return self._thread is not threading.current_thread()

    def _is_idle(self) -> bool:
        return self._served == self._woken

    def _run(self) -> None:
        while self._has_work():
            woken = self._woken
            try:
                self._send()
            except LockedError:
                self._failed(_IN_USE)
            except Exception as error:  # noqa: BLE001 - a tracker may fail in any way
                self._failed(reason_of(error))
            else:
                self._succeeded(woken)

    def _has_work(self) -> bool:
        with self._changed:
            self._changed.wait_for(lambda: self.is_closed() or not self._is_idle())
            return not self.is_closed()

    def _succeeded(self, woken: int) -> None:
        with self._changed:
            if self.is_closed():
                return
            self._served = woken
            self.failure, self.attempts, self._is_urgent = None, 0, False
            self._next_pause = _growing(self._pauses)
            self._changed.notify_all()

    def _failed(self, reason: str) -> None:
        with self._changed:
            if self.is_closed():
                return
            if self.failure is None and not self._is_awaited:
                logger.warning(_FAILED, self._receiver, reason)
            self.failure = reason
            self.attempts += 1
            self._changed.notify_all()
            self._changed.wait_for(lambda: self.is_closed() or self._is_urgent, next(self._next_pause))
            self._is_urgent = False


def _growing(pauses: Sequence[float]) -> Iterator[float]:
    return itertools.chain(pauses, itertools.repeat(pauses[-1]))


_IN_USE = "another process, or a training that was stopped just now, is sending what this run has"
_FAILED = "%s did not take what was sent: %s. It is kept in the run directory and sent again."
