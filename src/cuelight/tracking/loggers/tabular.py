"""Values and tables as text."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from typing import Any


def as_text(value: Any) -> str:
    """Return a scalar, list or mapping as one line of YAML; text is returned as it is.

    Examples:
        >>> as_text(None), as_text(True), as_text("ten"), as_text([1, 2])
        ('null', 'true', 'ten', '[1, 2]')
    """
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def as_markdown(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """Return a table as Markdown."""
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join(f"| {' | '.join(map(_cell, line))} |" for line in lines)


def as_csv(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """Return a table as CSV."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerows([columns, *rows])
    return text.getvalue()


def _cell(value: Any) -> str:
    return as_text(value).replace("\\", "\\\\").replace("|", "\\|").replace("\n", " ")
