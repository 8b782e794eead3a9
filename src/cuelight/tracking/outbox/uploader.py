"""The newest file sent to a tracker, beside what else is going on, as often as it takes."""

from __future__ import annotations

import itertools
import logging
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

from cuelight.tracking.logger_adapter import LoggerAdapter
from cuelight.tracking.outbox.daemon import daemon
from cuelight.tracking.outbox.spool import Sent, Spool, SpoolInUseError, Waiting
from cuelight.utils.files import sha256_of
from cuelight.utils.redaction import reason_of, redacted_text

logger = logging.getLogger(__name__)

PAUSES = (1.0, 2.0, 5.0, 10.0, 20.0, 40.0, 60.0, 120.0, 300.0)
_IN_USE = "another process, or a training that was stopped just now, is sending the files of this run"


class Uploader:
    """Sends the newest file of a spool to one tracker, in a thread of its own.

    The thread is a daemon: it never keeps a process alive, and what it has not sent stays in the spool.

    Args:
        name: What to call the tracker in messages.
        tracker: The tracker.
        spool: Where files wait.
        folder: The folder of the tracker that they belong to.
        keep: How many of the files that were sent last stay there.
        pauses: Seconds before each further attempt when one has failed; the last one repeats.

    Attributes:
        name: As given.
        failure: Why the last attempt failed; ``None`` while all is well.
        attempts: How often in a row it failed, since it was told to hurry.
        current: What the tracker has of the newest file that was sent or found to be there; ``None`` before.
    """

    def __init__(
        self,
        name: str,
        tracker: LoggerAdapter,
        spool: Spool,
        folder: str = "",
        keep: int = 1,
        pauses: Sequence[float] = PAUSES,
    ) -> None:
        self.name = name
        self.failure: str | None = None
        self.attempts = 0
        self.current: Sent | None = None
        self._tracker = tracker
        self._spool = spool
        self._folder = folder
        self._keep = keep
        self._pauses = pauses
        self._next_pause = _growing(pauses)
        self._condition = threading.Condition()
        self._pending, self._idle, self._in_a_hurry, self._closed = False, False, False, False
        self._sent: list[Sent] | None = None
        self._thread = daemon(self._run, f"upload to {name}")
        self._thread.start()

    def offer(self, file: Path, name: str, step: int, score: float) -> None:
        """Send a file under ``name`` in place of those that wait; return at once.

        The file may be deleted or replaced afterwards. Raises ``OSError`` if it cannot be put into the spool.
        """
        self._spool.put(file, name, step, score)
        with self._condition:
            self._pending = True
            self._condition.notify_all()

    def hurry(self) -> None:
        """Try again now, with short pauses first."""
        with self._condition:
            self._in_a_hurry = True
            self.attempts = 0
            self._next_pause = _growing(self._pauses)
            self._condition.notify_all()

    def wait(self, seconds: float) -> bool:
        """Wait for at most ``seconds``, and return whether all was sent."""
        with self._condition:
            return self._condition.wait_for(lambda: self._idle and not self._pending, seconds)

    def close(self) -> None:
        """Stop sending, without waiting for a transfer under way; what waits stays in the spool."""
        with self._condition:
            self._closed = True
            idle = self._idle and not self._pending
            self._condition.notify_all()
        if idle:
            self._thread.join()  # so that the spool is free

    def _run(self) -> None:
        while not self._closed:
            if problem := self._serve_if_free():
                self._failed(problem)

    def _serve_if_free(self) -> str | None:
        try:
            with self._spool.locked():
                self._serve()
        except SpoolInUseError:
            return _IN_USE
        except OSError as error:
            return f"the spool cannot be used: {error}"
        return None

    def _serve(self) -> None:
        while not self._closed:
            waiting = self._spool.claim()
            if waiting is None:
                self._rest()
                continue
            try:
                is_there = self._send(waiting)
            except Exception as error:  # noqa: BLE001 - a tracker may fail in any way, and is tried again
                self._failed(reason_of(error))
            else:
                if is_there:
                    self._succeeded(waiting)

    def _rest(self) -> None:
        """Wait for the next file."""
        with self._condition:
            self._idle = not self._pending
            self._condition.notify_all()
            self._condition.wait_for(lambda: self._pending or self._closed)
            self._pending = self._idle = False

    def _send(self, waiting: Waiting) -> bool:
        before = _stamp(waiting.file)
        sha256 = sha256_of(waiting.file)
        if self._closed:
            return False  # its run at the tracker may have ended meanwhile, and would be opened again
        place = redacted_text(self._tracker.place)
        sent = self._sent if self._sent is not None else self._spool.read_sent()
        there = next((entry for entry in sent if (entry.place, entry.sha256) == (place, sha256)), None)
        if there is None:
            where = self._tracker.log_artifact(waiting.file, self._folder, aliases=("best",))
            if _stamp(waiting.file) != before:
                raise OSError(f"{waiting.file.name} was changed while it was sent")
            there = Sent(place, waiting.file.name, redacted_text(where), sha256, waiting.step, waiting.score)
            sent = [entry for entry in sent if (entry.place, entry.name) != (place, there.name)] + [there]
            self._note(sent)
            logger.info("%s has %s of step %d: %s", self.name, there.name, there.step, there.where)
        if not self._closed:
            self._remove_old(place, sent)
        self.current = there
        return True

    def _remove_old(self, place: str, sent: list[Sent]) -> None:
        here = [entry for entry in sent if entry.place == place]
        for entry in here[: -self._keep]:
            self._tracker.delete_artifact(entry.name, self._folder)
            sent = [other for other in sent if other is not entry]
            self._note(sent)

    def _note(self, sent: list[Sent]) -> None:
        self._sent = sent  # also if the disk refuses, so that nothing is sent again because of that
        try:
            self._spool.write_sent(sent)
        except OSError as error:
            logger.warning("It cannot be noted that %s has a file, so it may be sent again: %s", self.name, error)

    def _succeeded(self, waiting: Waiting) -> None:
        self._spool.remove(waiting)
        with self._condition:
            self.failure = None
            self.attempts = 0
            self._in_a_hurry = False
            self._next_pause = _growing(self._pauses)

    def _failed(self, reason: str) -> None:
        with self._condition:
            if self.failure is None:
                logger.warning("%s does not take the file yet: %s. It waits, and is tried again.", self.name, reason)
            self.failure = reason
            self.attempts += 1
            self._condition.wait_for(lambda: self._closed or self._in_a_hurry, next(self._next_pause))
            self._in_a_hurry = False


def _growing(pauses: Sequence[float]) -> Iterator[float]:
    return itertools.chain(pauses, itertools.repeat(pauses[-1]))


def _stamp(file: Path) -> tuple[int, int]:
    """Return what changes if a file is overwritten, as Lightning's own plugin does."""
    found = file.stat()
    return found.st_size, found.st_mtime_ns
