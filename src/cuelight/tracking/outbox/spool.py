"""Files that wait to be sent to a tracker, kept on the disk until they are there."""

from __future__ import annotations

import json
import os
import shutil
import threading
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from pathlib import Path

from cuelight.utils.files import atomic_write, read_json, write_json
from cuelight.utils.locks import locked

STATE_FILE = "state.json"
_DESCRIPTION = "about.json"


@dataclass(frozen=True)
class Waiting:
    """A file that waits: its path in the spool, the optimizer step at which it was saved, and its score."""

    file: Path
    step: int
    score: float


@dataclass(frozen=True)
class Sent:
    """A file that a tracker has.

    Args:
        place: Where the tracker keeps its files.
        name: The name of the file.
        where: The file itself, as a URL or a path.
        sha256: Of its content.
        step: The optimizer step at which it was saved.
        score: The value for which it was kept.
    """

    place: str
    name: str
    where: str
    sha256: str
    step: int
    score: float


class Spool:
    """A folder with the newest file for a tracker, and with a note of what the tracker has.

    A file that waits is a hard link, or a copy where the file system has no links, so that whoever wrote it may delete
    or replace it. Each has a folder of its own with a number; the newest one is sent, the others are removed. What a
    killed process leaves is therefore just that: the newest file, and perhaps a folder that is not complete.

    Args:
        folder: The folder; it is made when the first file comes.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._lock = threading.Lock()
        self._claimed: Path | None = None

    def put(self, file: Path, name: str, step: int, score: float) -> None:
        """Add a file, in place of those that wait already; one that is being sent stays until it is sent.

        It is sent under ``name``. Raises ``OSError`` if the disk is full.
        """
        with self._lock:
            folder = self._new_folder()
            try:
                (folder / _DESCRIPTION).write_text(json.dumps({"name": name, "step": step, "score": score}))
                _link_or_copy(file, folder / name)
            except OSError:
                shutil.rmtree(folder, ignore_errors=True)
                raise
            for other in self._folders():
                if other not in (folder, self._claimed):
                    shutil.rmtree(other, ignore_errors=True)

    def has_files(self) -> bool:
        """Return whether a file waits."""
        return bool(self._folders())

    def claim(self) -> Waiting | None:
        """Return the newest file, and remove all others; ``None`` if none waits."""
        with self._lock:
            newest = None
            for folder in reversed(self._folders()):
                newest = newest or _read(folder)
                if newest is None or newest.file.parent != folder:
                    shutil.rmtree(folder, ignore_errors=True)
            self._claimed = newest.file.parent if newest else None
            return newest

    def remove(self, waiting: Waiting) -> None:
        """Remove the file that ``claim`` has returned."""
        with self._lock:
            self._claimed = None
            shutil.rmtree(waiting.file.parent, ignore_errors=True)

    def read_sent(self) -> list[Sent]:
        """Return the files that the tracker has: sent, and neither replaced nor removed since; the oldest first."""
        remedy = "Delete it; what it names may be sent again."
        content: dict[str, list[Sent]] = read_json(self.folder / STATE_FILE, remedy, dict[str, list[Sent]]) or {}
        return content.get("sent", [])

    def write_sent(self, sent: Sequence[Sent]) -> None:
        """Record what the tracker has."""
        write_json(self.folder / STATE_FILE, {"sent": [asdict(entry) for entry in sent]})

    def locked(self) -> AbstractContextManager[None]:
        """Lock the spool against other threads and processes. Raises ``LockedError`` if one has locked it."""
        return locked(self.folder)

    def _new_folder(self) -> Path:
        number = max((int(folder.name) for folder in self._folders()), default=0)
        while True:
            number += 1
            folder = self.folder / f"{number:06d}"
            try:
                folder.mkdir(parents=True)
            except FileExistsError:
                continue
            return folder

    def _folders(self) -> list[Path]:
        if not self.folder.is_dir():
            return []
        return sorted(path for path in self.folder.iterdir() if path.name.isdigit())


def _read(folder: Path) -> Waiting | None:
    """Return the file in a folder; ``None`` if a killed process left it incomplete."""
    try:
        about = json.loads((folder / _DESCRIPTION).read_text())
        file = folder / about["name"]
        return Waiting(file, about["step"], about["score"]) if file.is_file() else None
    except (FileNotFoundError, ValueError, LookupError, TypeError, RecursionError):
        return None


def _link_or_copy(file: Path, target: Path) -> None:
    try:
        os.link(file, target)
    except FileNotFoundError:
        raise
    except OSError:
        with file.open("rb") as source, atomic_write(target) as copy:
            shutil.copyfileobj(source, copy)
