"""Signals that ask for a stop, noted so that a training can save first and a command can say what ended it."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import FrameType
from typing import Any, final

logger = logging.getLogger(__name__)

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_NOBODY = (signal.SIG_DFL, signal.default_int_handler)
_SHOW_CURSOR = b"\x1b[?25h\n"


@contextmanager
def signals_given_back() -> Iterator[None]:
    """Give SIGINT and SIGTERM back to who had them, however what runs within ends.

    Lightning ignores SIGINT when it has caught a KeyboardInterrupt, and gives no signal back where a callback fails
    while it is told of an exception. A notebook, whose process lives on, could then not be interrupted any more.

    Yields:
        Nothing.
    """
    owners = _owners()
    try:
        yield
    finally:
        _give_back(owners)


class StopSignal:
    """Notes the first SIGINT or SIGTERM; a second one ends the process at once.

    Attributes:
        received: The number of the signal that came, ``None`` if none did.
    """

    def __init__(self) -> None:
        self.received: int | None = None
        self._owners: dict[int, Any] = {}

    def note_owners(self) -> None:
        """Note who has the signals now, so that they can be given back.

        Lightning takes SIGTERM when a fit begins, and keeps it when the fit ends by an exception.
        """
        self.received = None
        self._owners = _owners()

    def listen(self) -> None:
        """Take the signals over, unless they are ignored, as Ctrl-C is in a script's background job.

        Does nothing outside the main thread, where Python allows no handlers.
        """
        if threading.current_thread() is not threading.main_thread():
            return
        if not self._owners:
            self.note_owners()
        for number, owner in self._owners.items():
            if owner is not signal.SIG_IGN:
                signal.signal(number, self._note)

    def unlisten(self) -> None:
        """Give the signals back to who had them when that was noted."""
        _give_back(self._owners)
        self._owners = {}

    def _note(self, number: int, _: FrameType | None) -> None:
        if self.received is not None:
            _die(number)
        self.received = number
        name = signal.Signals(number).name
        logger.warning("%s: stopping at the next batch boundary, with all saved; a second signal stops at once.", name)


@final
class NotedSignal:
    """Ends what runs within a ``with`` by an exception at SIGINT and SIGTERM, and notes which of them came.

    SIGINT raises KeyboardInterrupt, SIGTERM raises SystemExit. Lightning turns the one into ``sys.exit(1)`` and the
    other into ``sys.exit(0)``; the note tells what it was. A signal that was ignored or taken before stays as it was,
    and so do both outside the main thread, where Python allows no handlers.

    Attributes:
        number: The number of the signal that came last, ``None`` if none did.
    """

    def __init__(self) -> None:
        self.number: int | None = None
        self._owners: dict[int, Any] = {}

    def __enter__(self) -> NotedSignal:
        """Take over the signals that nobody has."""
        if threading.current_thread() is threading.main_thread():
            self._owners = {number: owner for number, owner in _owners().items() if owner in _NOBODY}
            for number in self._owners:
                signal.signal(number, self._end)
        return self

    def __exit__(self, *_: object) -> None:
        """Give them back."""
        _give_back(self._owners)

    def _end(self, number: int, _: FrameType | None) -> None:
        self.number = number
        if number == signal.SIGINT:
            raise KeyboardInterrupt
        raise SystemExit(128 + number)


def _owners() -> dict[int, Any]:
    """Who has the signals; one that was taken before Python began is left out, because it could not be given back."""
    owners = {number: signal.getsignal(number) for number in _SIGNALS}
    return {number: owner for number, owner in owners.items() if owner is not None}


def _give_back(owners: Mapping[int, Any]) -> None:
    if threading.current_thread() is threading.main_thread():
        for number, owner in owners.items():
            signal.signal(number, owner)


def _die(number: int) -> None:
    if sys.stderr.isatty():
        os.write(sys.stderr.fileno(), _SHOW_CURSOR)  # a live display may have hidden it
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
