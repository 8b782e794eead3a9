"""Files that may be missing or damaged: what they hold, or a sentence that says what is wrong and what to do."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from cuelight.errors import CuelightError
from cuelight.redaction import reason_of

T = TypeVar("T")


class Problems(dict[str, str]):
    """What was missing or damaged, by the section of the page that it belongs to."""

    def guard(self, section: str, read: Callable[[], T], otherwise: Callable[[], T]) -> T:
        """Read what a section shows; whatever is wrong with it is told there, and the rest of the page is made.

        Args:
            section: The section.
            read: Reads it.
            otherwise: Makes what it is without.

        Returns:
            What was read, or what is instead of it.
        """
        try:
            return read()
        except CuelightError as error:
            self[section] = str(error)
        except Exception as error:  # noqa: BLE001 - a damaged file may hold anything, and is told on the page
            self[section] = f"What the files of the run say about this cannot be shown: {reason_of(error)}"
        return otherwise()


def read_json(path: Path, remedy: str) -> Any:
    """Read a JSON file.

    Args:
        path: The file.
        remedy: What to do where it is damaged.

    Returns:
        Its content; ``None`` if there is no such file.

    Raises:
        CuelightError: If it is damaged or cannot be read.
    """
    text = read_text(path)
    try:
        return None if text is None else json.loads(text)
    except (ValueError, RecursionError) as error:
        raise CuelightError(f"{path.name} is damaged: {error}. {remedy}") from error


def read_text(path: Path) -> str | None:
    """Read a text file.

    Args:
        path: The file.

    Returns:
        Its text, with a mark in place of what is no UTF-8; ``None`` if there is no such file.

    Raises:
        CuelightError: If it cannot be read.
    """
    try:
        return path.read_text(encoding="utf-8", errors="replace") if path.is_file() else None
    except OSError as error:
        raise CuelightError(
            f"{path.name} cannot be read: {error.strerror}. Mend its permissions or its disk."
        ) from error
