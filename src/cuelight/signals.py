"""Signals that ask for a stop, noted instead of obeyed at once."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
from types import FrameType
from typing import Any

logger = logging.getLogger(__name__)

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_SHOW_CURSOR = b"\x1b[?25h\n"


class StopSignal:
    """Notes the first SIGINT or SIGTERM; a second one ends the process at once.

    Attributes:
        received: The number of the signal that came, ``None`` if none did.
    """

    def __init__(self) -> None:
        self.received: int | None = None
        self._previous: dict[int, Any] = {}

    def listen(self) -> None:
        """Take the signals over; does nothing outside the main thread, where Python allows no handlers."""
        if self._previous or threading.current_thread() is not threading.main_thread():
            return
        self.received = None
        for number in _SIGNALS:
            self._previous[number] = signal.signal(number, self._note)

    def unlisten(self) -> None:
        """Give the signals back to whoever had them."""
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        self._previous = {}

    def _note(self, number: int, _: FrameType | None) -> None:
        if self.received is not None:
            _die(number)
        self.received = number
        name = signal.Signals(number).name
        logger.warning("%s: stopping at the next batch boundary, with all saved; a second signal stops at once.", name)


def _die(number: int) -> None:
    if sys.stderr.isatty():
        os.write(sys.stderr.fileno(), _SHOW_CURSOR)  # a live display may have hidden it
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
