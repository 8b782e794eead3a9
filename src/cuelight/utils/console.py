"""Consoles for the output of commands and callbacks; secrets are hidden before lines are broken."""

from __future__ import annotations

import os
from typing import Any

from rich.console import Console
from rich.text import Text

from cuelight.utils.redaction import hidden

_WIDEST = 10_000


class HidingConsole(Console):
    """A console without secrets."""

    def render_str(self, text: str, **options: Any) -> Text:
        """Return the text with its style."""
        return super().render_str(hidden(text), **options)


def make_console(stderr: bool = False) -> Console:
    """Return a console for standard output, or standard error. Without a terminal and COLUMNS, no line is broken."""
    console = HidingConsole(stderr=stderr, highlight=False)
    fits = console.is_terminal or "COLUMNS" in os.environ
    return console if fits else HidingConsole(stderr=stderr, highlight=False, width=_WIDEST)
