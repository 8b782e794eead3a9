"""A lock on a folder, against other threads and other processes."""

from __future__ import annotations

import fcntl
import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

logger = logging.getLogger(__name__)

LOCK_FILE = ".lock"
_locked_here: set[Path] = set()
_locking = threading.Lock()


class LockedError(Exception):
    """Another thread or process has locked the folder."""


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Lock a folder, which is created if it is missing. Raises ``LockedError`` if it is locked already."""
    folder.mkdir(parents=True, exist_ok=True)
    folder = folder.resolve()
    with _locking:
        if folder in _locked_here:
            raise LockedError(f"{folder} is locked by another thread")
        # The lock is of this process alone: those that are forked from it do not have it. It ends when the process
        # closes the file for the first time, so no file may be opened twice.
        file = (folder / LOCK_FILE).open("w")
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError):
            file.close()
            raise LockedError(f"{file.name} is locked by another process") from None
        except OSError as error:
            logger.debug("%s cannot be locked: %s", file.name, error)  # network file systems may have no locks
        _locked_here.add(folder)
    try:
        yield
    finally:
        with _locking:
            _locked_here.remove(folder)
            file.close()


def is_locked(folder: Path) -> bool:
    """Return whether a thread or a process has locked a folder."""
    try:
        with locked(folder):
            return False
    except LockedError:
        return True
