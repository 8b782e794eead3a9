"""The newest checkpoint sent to one tracker in the background."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from cuelight.tracking.logger_adapter import LoggerAdapter
from cuelight.tracking.outbox.sender import PAUSES, Sender
from cuelight.tracking.outbox.spool import Sent, Spool, Waiting
from cuelight.utils.files import sha256_of
from cuelight.utils.redaction import identity_of, redacted_text

logger = logging.getLogger(__name__)


class Uploader:
    """Sends the newest file of a spool to a tracker; what was not sent stays in the spool.

    Args:
        name: The name of the tracker in messages.
        tracker: The tracker.
        spool: Where files wait.
        folder: The folder at the tracker.
        keep: How many of the files sent last stay at the tracker.
        pauses: Seconds before each further attempt after a failure; the last one repeats.

    Attributes:
        name: As given.
        spool: As given.
        tracker: As given.
        sender: The thread that sends.
        current: The newest file that was sent, or found to be at the tracker; ``None`` before.
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
        self.tracker = tracker
        self.spool = spool
        self.sender = Sender(name, self._send_newest, pauses)
        self.current: Sent | None = None
        self._folder = folder
        self._keep = keep
        self._unwritten: list[Sent] | None = None

    def resume(self) -> None:
        """Send what an earlier process left in the spool."""
        if self.spool.has_files():
            self.sender.wake()

    def offer(self, file: Path, name: str, step: int, score: float) -> None:
        """Send a file under ``name`` in place of those that wait; return at once.

        The file may be deleted or replaced afterwards. Raises ``OSError`` if it cannot be put into the spool.
        """
        self.spool.put(file, name, step, score)
        self.sender.wake()

    def _send_newest(self) -> None:
        with self.spool.locked():
            while not self.sender.is_closed() and (waiting := self.spool.claim()):
                self._send(waiting)

    def _send(self, waiting: Waiting) -> None:
        before = _stamp(waiting.file)
        sha256 = sha256_of(waiting.file)
        if self.sender.is_closed():
            return  # the tracker's run may have ended in the meantime, and would be opened again
        place = identity_of(self.tracker.place)
        sent = self.spool.read_sent() if self._unwritten is None else self._unwritten
        there = next((entry for entry in sent if (entry.place, entry.sha256) == (place, sha256)), None)
        if there is None:
            where = self.tracker.log_artifact(waiting.file, self._folder, aliases=("best",))
            if _stamp(waiting.file) != before:
                raise OSError(f"{waiting.file.name} was changed while it was sent")
            there = Sent(place, waiting.file.name, redacted_text(where), sha256, waiting.step, waiting.score)
            sent = [entry for entry in sent if (entry.place, entry.name) != (place, there.name)] + [there]
            self._write_sent(sent)
            logger.info("%s has %s of step %d: %s", self.name, there.name, there.step, there.where)
        if not self.sender.is_closed():
            self._remove_old(place, sent)
        self.current = there
        self.spool.remove(waiting)

    def _remove_old(self, place: str, sent: list[Sent]) -> None:
        here = [entry for entry in sent if entry.place == place]
        for entry in here[: -self._keep]:
            self.tracker.delete_artifact(entry.name, self._folder)
            sent = [other for other in sent if other is not entry]
            self._write_sent(sent)

    def _write_sent(self, sent: list[Sent]) -> None:
        try:
            self.spool.write_sent(sent)
            self._unwritten = None
        except OSError as error:
            self._unwritten = sent
            logger.warning("%s has a file, but this cannot be stored, so it may be sent again: %s", self.name, error)


def _stamp(file: Path) -> tuple[int, int]:
    """Return what changes if a file is overwritten, as Lightning's own plugin does."""
    found = file.stat()
    return found.st_size, found.st_mtime_ns
