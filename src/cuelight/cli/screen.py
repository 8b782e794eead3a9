"""Standard output and error without secrets."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from typing import Any

_BLANKS_AT_THE_END = re.compile(r" +(?=\n)")  # of the rows of a table


@contextmanager
def secrets_hidden() -> Iterator[None]:
    """Hide secrets in all that is written to standard output and error, also in tracebacks and by libraries."""
    with redirect_stdout(_Screen(sys.stdout)), redirect_stderr(_Screen(sys.stderr)):
        yield


class _Screen:
    """A stream that hides secrets; all else is that of the stream below."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        shown = hidden_in(text)
        self._stream.write(shown if self._stream.isatty() else _BLANKS_AT_THE_END.sub("", shown))
        return len(text)


def hidden_in(text: str) -> str:
    """Hide secrets; without importing what hides them if there can be none, as in a help text."""
    if "@" not in text and "cuelight.utils.hidden_values" not in sys.modules:
        return text
    from cuelight.utils.redaction import hidden

    return hidden(text)
