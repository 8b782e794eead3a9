"""Everything that waits for one tracker: on disk until it was sent, by a background thread."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from cuelight.tracking.outbox.deadline import AT_THE_END
from cuelight.tracking.outbox.sender import PAUSES, Sender
from cuelight.tracking.outbox.uploads import how_to_send
from cuelight.utils.journal import END, OUTBOX_FOLDER, Entry, Journal, lacking
from cuelight.utils.redaction import reason_of

logger = logging.getLogger(__name__)

METRICS = "metrics"  # kind of entry
_METRICS_AT_ONCE = 100  # entries
_ATTEMPTS_AT_THE_END = 3


class Outbox:
    """Sends entries in order. An entry that fails while others arrive is passed over, and tried again later.

    Args:
        directory: The run directory.
        tracker: The key of the tracker, such as ``mlflow``.
        address: The address of the tracker without secrets; each address has an outbox of its own.
        receiver: The name of the tracker in messages.
        send: Sends entries: one, or several of the kind ``METRICS``.
        is_refusal: Whether an error means that the same entry would fail again, so that it is left out.
        pauses: Seconds before each further attempt after a failure; the last one repeats.
    """

    def __init__(
        self,
        directory: Path,
        tracker: str,
        address: str,
        receiver: str,
        send: Callable[[Sequence[Entry]], object],
        is_refusal: Callable[[Exception], bool] = lambda _: False,
        pauses: Sequence[float] = PAUSES,
    ) -> None:
        folder = directory / OUTBOX_FOLDER / f"{tracker}-{hashlib.sha256(address.encode()).hexdigest()[:6]}"
        self._directory = directory
        self._receiver = receiver
        self._journal = Journal(folder, receiver)
        self._send = send
        self._is_refusal = is_refusal
        self._sender = Sender(receiver, self._send_waiting, pauses)
        self._probes = 0
        self._said: set[str] = set()

    def add(
        self, what: str, kind: str, payload: Mapping[str, Any], write: Callable[[Path], object] | None = None
    ) -> None:
        """Add an entry, and have it sent; ``write`` writes its file. Raises ``OSError`` if the disk is full."""
        self._journal.add(what, kind, payload, write)
        self._sender.wake()

    def waits(self, kind: str) -> bool:
        """Return whether an entry of a kind waits."""
        return bool(self._journal.waiting(kind))

    def remove(self, kind: str) -> None:
        """Remove the entries of a kind."""
        self._journal.remove(self._journal.waiting(kind))

    def send_waiting(self, is_awaited: bool = False) -> None:
        """Have everything sent that an earlier process has left; ``is_awaited`` if :meth:`drain` reports a failure."""
        if is_awaited:
            self._sender.hurry()
        if self._journal.waiting():
            self._sender.wake()

    def drain(self, seconds: float = AT_THE_END) -> None:
        """Wait until all was sent, or until a few attempts have failed, and warn of what the tracker lacks then."""
        if message := self.drained(seconds):
            logger.warning(message)

    def drained(self, seconds: float) -> str:
        """Wait as :meth:`drain`, and return what the tracker lacks then, why, and how to send it; empty if nothing."""
        self._sender.hurry()
        self._sender.wait(seconds, _ATTEMPTS_AT_THE_END)
        self._sender.close()
        what = lacking(self._directory).get(self._receiver)
        if what is None:
            return ""
        reason = f" ({self._sender.failure})" if self._sender.failure else ""
        waits = self._receiver in lacking(self._directory, only_waiting=True)
        return f"{self._receiver} lacks {what}{reason}.{f' {how_to_send(self._directory)}' if waits else ''}"

    def _send_waiting(self) -> None:
        if self._journal.waiting():
            with self._journal.locked():
                self._send_in_order(_batches(self._journal.waiting()))

    def _send_in_order(self, batches: list[list[Entry]]) -> None:
        failure: Exception | None = None
        while batches and not self._sender.is_closed():
            batch = batches.pop(0)
            try:
                self._send_batch(batch)
            except Exception as error:  # noqa: BLE001 - a tracker may fail in any way
                self._probe(batches, error)
                try:
                    self._send_batch(batch)
                except Exception as again:  # noqa: BLE001 - as above
                    failure = again
        if failure is not None:
            raise failure

    def _probe(self, batches: list[list[Entry]], error: Exception) -> None:
        """Send another batch, to find out whether the tracker is down: then ``error`` is raised.

        It is a different one each time, because there may be several that always fail.
        """
        others = [batch for batch in batches if batch[0].kind != END] or batches
        if not others:
            raise error
        other = others[self._probes % len(others)]
        self._probes += 1
        try:
            self._send_batch(other)
        except Exception:  # noqa: BLE001 - as above
            raise error from None
        batches.remove(other)
        self._probes = 0

    def _send_batch(self, batch: Sequence[Entry]) -> None:
        refused = ""
        try:
            self._send(batch)
        except Exception as error:
            if not self._is_refusal(error):
                raise
            if len(batch) > 1:  # only one of them may be at fault
                for entry in batch:
                    self._send_batch([entry])
                return
            refused = reason_of(error)
            if batch[0].what not in self._said:
                self._said.add(batch[0].what)
                logger.warning("%s refused %s: %s", self._receiver, batch[0].what, refused)
        self._journal.remove(batch, refused)


def _batches(entries: Sequence[Entry]) -> list[list[Entry]]:
    batches: list[list[Entry]] = []
    for kind, group in groupby(entries, key=lambda entry: entry.kind):
        found = list(group)
        size = _METRICS_AT_ONCE if kind == METRICS else 1
        batches += [found[start : start + size] for start in range(0, len(found), size)]
    return batches
