"""Consoles for the output of commands and callbacks."""

from __future__ import annotations

from rich.console import Console

_WIDEST = 10_000


def make_console(stderr: bool = False) -> Console:
    """Return a console for standard output, or standard error. If it is no terminal, no line is broken."""
    console = Console(stderr=stderr, highlight=False)
    return console if console.is_terminal else Console(stderr=stderr, highlight=False, width=_WIDEST)
