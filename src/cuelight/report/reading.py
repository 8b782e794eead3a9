"""Reading of files that may be missing (``None``) or damaged (``CuelightError``)."""

from __future__ import annotations

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
    """Error messages, by the section of the page that they belong to."""

    def guard(self, section: str, read: Callable[[], T], otherwise: Callable[[], T]) -> T:
        """Return ``read()``. If it fails, note the error for the section and return ``otherwise()``."""
        try:
            return read()
        except CuelightError as error:
            self[section] = redacted_text(str(error))
        except Exception as error:  # noqa: BLE001 - a damaged file may hold anything; the page shows the error
            self[section] = f"This section cannot be read from the files of the run: {reason_of(error)}"
        return otherwise()


def read_yaml(path: Path) -> Any:
    """Read the mapping in a YAML file; ``None`` if the file does not exist or is empty."""
    text = read_text(path)
    try:
        return parse_document(text, path.name).tree if text and text.strip() else None
    except ConfigError as error:
        raise CuelightError(f"{path.name} is damaged: {'; '.join(map(_told, error.problems))}.") from error


def _told(problem: Problem) -> str:
    """Format a problem for the page. The message about a secret is replaced, because it quotes the secret."""
    message = "the value is not plain text" if names_secret(problem.path) else problem.message
    return " ".join(part for part in (problem.where, problem.path and f"({problem.path})") if part) + f": {message}"


def files_in(folder: Path, pattern: str = "*") -> Iterator[tuple[Path, os.stat_result]]:
    """Yield each file in a folder and below, with its status, also while a run adds and deletes files."""
    for parent, _, names in os.walk(folder):
        for file in (Path(parent, name) for name in names if fnmatch(name, pattern)):
            try:
                status = file.stat()
            except FileNotFoundError:
                continue
            if stat.S_ISREG(status.st_mode):
                yield file, status


def read_text(path: Path) -> str | None:
    """Read a text file, with a mark in place of invalid UTF-8; ``None`` if it does not exist."""
    try:
        return path.read_text(encoding="utf-8", errors="replace") if path.is_file() else None
    except FileNotFoundError:  # deleted after the check
        return None
    except OSError as error:
        raise CuelightError(
            f"{path.name} cannot be read: {error.strerror}. Fix its permissions or its disk."
        ) from error
