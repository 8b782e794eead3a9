"""Files that may be missing or damaged: what they hold, or a sentence that says what is wrong and what to do."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable, Iterator
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, TypeVar

from cuelight.config.loading import parse_document
from cuelight.errors import ConfigError, CuelightError, Problem
from cuelight.utils.redaction import reason_of, redacted_text
from cuelight.utils.secret_names import names_secret

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
            self[section] = redacted_text(str(error))
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


def read_yaml(path: Path) -> Any:
    """Read a YAML file.

    Args:
        path: The file.

    Returns:
        The mapping that it holds; ``None`` if there is no such file, or nothing in it.

    Raises:
        CuelightError: If it is damaged or cannot be read.
    """
    text = read_text(path)
    try:
        return parse_document(text, path.name).tree if text and text.strip() else None
    except ConfigError as error:
        raise CuelightError(f"{path.name} is damaged: {'; '.join(map(_told, error.problems))}.") from error


def _told(problem: Problem) -> str:
    """A problem as a page that is shown around may tell it: what is wrong with a secret quotes the secret."""
    message = "the value is no plain text" if names_secret(problem.path) else problem.message
    return " ".join(part for part in (problem.where, problem.path and f"({problem.path})") if part) + f": {message}"


def files_in(folder: Path, pattern: str = "*") -> Iterator[tuple[Path, os.stat_result]]:
    """List the files of a run that may still be written.

    Args:
        folder: Where to look, also in all folders below.
        pattern: What the names of the files look like.

    Yields:
        Each file, and what the disk says of it; without those that vanish meanwhile.
    """
    for parent, _, names in os.walk(folder):
        for file in (Path(parent, name) for name in names if fnmatch(name, pattern)):
            try:
                status = file.stat()
            except FileNotFoundError:
                continue
            if stat.S_ISREG(status.st_mode):
                yield file, status


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
    except FileNotFoundError:  # since the line before
        return None
    except OSError as error:
        raise CuelightError(
            f"{path.name} cannot be read: {error.strerror}. Mend its permissions or its disk."
        ) from error
