"""Threads that may wait for a server for ever, and must not keep the process alive."""

from __future__ import annotations

import threading
from collections.abc import Callable

_NAME = "cuelight: "


def start_background(run: Callable[[], None], what: str) -> threading.Thread:
    """Start a thread; ``what`` it does is its name."""
    thread = threading.Thread(target=run, name=f"{_NAME}{what}", daemon=True)
    thread.start()
    return thread


def is_busy() -> bool:
    """Return whether such a thread still runs."""
    return any(thread.name.startswith(_NAME) for thread in threading.enumerate())
