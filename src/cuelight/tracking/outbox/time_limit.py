"""A time limit for functions that may hang."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cuelight.utils.background import start_background


def run_with_timeout(seconds: float, function: Callable[[], Any]) -> None:
    """Run a function in a thread, and raise ``TimeoutError`` if it takes longer; the thread then runs on.

    What the function raises is raised.
    """
    raised: list[Exception] = []

    def run() -> None:
        try:
            function()
        except Exception as error:  # noqa: BLE001 - raised again where it is waited for
            raised.append(error)

    thread = start_background(run, "call with a time limit")
    thread.join(seconds)
    if thread.is_alive():
        raise TimeoutError(f"no answer within {seconds:.0f} s.")
    if raised:
        raise raised[0]
