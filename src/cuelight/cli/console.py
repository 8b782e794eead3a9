"""A console without secrets."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.text import Text

from cuelight.cli.screen import hidden


class HidingConsole(Console):
    """Hides secrets before lines are broken."""

    def render_str(self, text: str, **options: Any) -> Text:
        """Return the text with its style."""
        return super().render_str(hidden(text), **options)
