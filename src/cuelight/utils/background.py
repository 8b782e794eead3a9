"""Daemon threads for calls to servers that may hang."""

from __future__ import annotations

import threading
from collections.abc import Callable

_NAME = "cuelight: "
_A_MOMENT = 0.1  # seconds


def start_background(run: Callable[[], None], what: str) -> threading.Thread:
    """Start a thread; ``what`` it does is its name."""
    thread = threading.Thread(target=run, name=f"{_NAME}{what}", daemon=True)
    thread.start()
    return thread


def is_busy() -> bool:
    """Return whether such a thread still runs; one that is just ending gets a moment."""
    threads = [thread for thread in threading.enumerate() if thread.name.startswith(_NAME)]
    for thread in threads:
        thread.join(_A_MOMENT)
    return any(thread.is_alive() for thread in threads)
