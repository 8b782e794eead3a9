"""Handlers for SIGINT and SIGTERM, so that a training saves first and a command reports which signal ended it."""

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
    """Restore the handlers of SIGINT and SIGTERM at the end, also after an error.

    Lightning ignores SIGINT after it has caught a KeyboardInterrupt, and restores no handler if a callback fails in
    ``on_exception``. A notebook, whose process continues, could then not be interrupted any more.
    """
    owners = _owners()
    try:
        yield
    finally:
        _give_back(owners)


class StopSignal:
    """Records the first SIGINT or SIGTERM in ``received``; a second one ends the process at once."""

    def __init__(self) -> None:
        self.received: int | None = None
        self._owners: dict[int, Any] = {}

    def note_owners(self) -> None:
        """Record the current handlers, so that they can be restored.

        Lightning installs its own for SIGTERM when a fit begins, and keeps it if the fit ends with an exception.
        """
        self.received = None
        self._owners = _owners()

    def listen(self) -> None:
        """Install the handlers, except for a signal that is ignored, as Ctrl-C is in a script's background job.

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
        """Restore the recorded handlers."""
        _give_back(self._owners)
        self._owners = {}

    def _note(self, number: int, _: FrameType | None) -> None:
        if self.received is not None:
            _die(number)
        self.received = number
        name = signal.Signals(number).name
        logger.warning(
            "%s: stopping at the next batch boundary and saving a checkpoint; a second signal stops immediately.", name
        )


@final
class NotedSignal:
    """Context manager that ends its block with an exception at SIGINT or SIGTERM and records the signal in ``number``.

    SIGINT raises KeyboardInterrupt, SIGTERM raises SystemExit. Lightning turns them into ``sys.exit(1)`` and
    ``sys.exit(0)``, so only ``number`` says which signal it was. Signals that are ignored or already have a handler
    are not changed, and nothing is changed outside the main thread, where Python allows no handlers.
    """

    def __init__(self) -> None:
        self.number: int | None = None
        self._owners: dict[int, Any] = {}

    def __enter__(self) -> NotedSignal:
        if threading.current_thread() is threading.main_thread():
            self._owners = {number: owner for number, owner in _owners().items() if owner in _NOBODY}
            for number in self._owners:
                signal.signal(number, self._end)
        return self

    def __exit__(self, *_: object) -> None:
        _give_back(self._owners)

    def _end(self, number: int, _: FrameType | None) -> None:
        self.number = number
        if number == signal.SIGINT:
            raise KeyboardInterrupt
        raise SystemExit(128 + number)


def _owners() -> dict[int, Any]:
    """Return the current handlers. One that was installed outside of Python is left out: it could not be restored."""
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
