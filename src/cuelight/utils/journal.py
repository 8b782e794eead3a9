"""What waits to be sent to a tracker, on the disk until it is there: also after a kill of the process."""

from __future__ import annotations

import json
import logging
import os
import shutil
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cuelight.utils.locks import locked

logger = logging.getLogger(__name__)

OUTBOX_FOLDER = "outbox"
END = "end"  # kind of the entry with the final status, which is nothing that a tracker lacks
_ENTRIES, _REFUSED, _ABOUT = "entries.jsonl", "refused.jsonl", "about.json"


@dataclass(frozen=True)
class Entry:
    """Something to send: ``what`` names it in messages, ``kind`` and ``payload`` say what is sent."""

    number: int
    what: str
    kind: str
    payload: Mapping[str, Any]
    file: Path | None = None


class Journal:
    """The entries that wait for one tracker, in order.

    A file of JSON lines has each entry when it is added, and its number when it was sent. The lines are handed to the
    operating system at once, so that they survive the process, but not a power cut. The folder is made when the first
    entry comes; ``receiver`` names the tracker in messages.
    """

    def __init__(self, folder: Path, receiver: str) -> None:
        self._folder = folder
        self._receiver = receiver
        self._lock = threading.Lock()
        self._waiting: dict[int, Entry] = {}
        self._last, self._size = 0, -1
        self._read()

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Lock the journal against other processes, or raise ``LockedError``; and read what they have changed."""
        with locked(self._folder):
            with self._lock:
                self._read()
            yield

    def add(
        self, what: str, kind: str, payload: Mapping[str, Any], write: Callable[[Path], object] | None = None
    ) -> Entry:
        """Add an entry; ``write`` writes its file, if it has one. Raises ``OSError`` if the disk is full."""
        with self._lock:
            self._read()
            if not (self._folder / _ABOUT).is_file():
                self._folder.mkdir(parents=True, exist_ok=True)
                (self._folder / _ABOUT).write_text(json.dumps({"receiver": self._receiver}))
            number = self._last = self._last + 1
            file = None
            if write is not None:
                file = self._folder / f"{number:06}" / str(payload.get("file", "content"))
                file.parent.mkdir(exist_ok=True)  # of an entry that a killed process did not add
                write(file)
            entry = Entry(number, what, kind, payload, file)
            name = file.name if file else None
            self._append(_ENTRIES, {"number": number, "what": what, "kind": kind, "payload": payload, "file": name})
            self._waiting[number] = entry
            return entry

    def waiting(self, kind: str | None = None) -> list[Entry]:
        """Return the entries that wait, of one kind or of all."""
        with self._lock:
            return [entry for entry in self._waiting.values() if kind in (None, entry.kind)]

    def remove(self, entries: Iterable[Entry], refused: str = "") -> None:
        """Remove entries that were sent, or that the tracker ``refused`` for this reason."""
        with self._lock:
            self._read()
            removed = [entry for entry in entries if self._waiting.pop(entry.number, None)]
            if not removed:
                return
            try:
                for entry in removed:
                    if refused:
                        self._append(_REFUSED, {"what": entry.what, "size": _size(entry), "reason": refused})
                    if entry.file is not None:
                        shutil.rmtree(entry.file.parent, ignore_errors=True)
                if self._waiting:
                    self._append(_ENTRIES, {"removed": [entry.number for entry in removed]})
                elif (self._folder / _REFUSED).is_file():
                    (self._folder / _ENTRIES).unlink(missing_ok=True)
                else:
                    shutil.rmtree(self._folder, ignore_errors=True)
                self._size = _file_size(self._folder / _ENTRIES)
            except OSError as error:
                logger.warning("%s may get something twice: %s", self._receiver, error)

    def _read(self) -> None:
        size = _file_size(self._folder / _ENTRIES)
        if size != self._size:
            self._waiting = {entry.number: entry for entry in _read(self._folder)}
            self._last = max(self._last, *self._waiting, 0)
            self._size = size

    def _append(self, name: str, line: Mapping[str, Any]) -> None:
        text = json.dumps(line, default=str) + "\n"
        with (self._folder / name).open("a+b") as file:
            if file.tell() > 0:
                file.seek(-1, os.SEEK_END)
                text = text if file.read(1) == b"\n" else f"\n{text}"  # a killed process left half a line
            file.write(text.encode())
        self._size = _file_size(self._folder / _ENTRIES)


def lacking(directory: Path, *, only_waiting: bool = False) -> dict[str, str]:
    """Return what the trackers of a run directory lack, in words, by the name of the tracker.

    With ``only_waiting``, what a tracker refused is left out, because it cannot be sent.
    """
    found = {}
    for folder in sorted((directory / OUTBOX_FOLDER).glob("*")):
        about = next(_lines(folder / _ABOUT), {})
        refused, waiting = Counter[str](), Counter[str]()
        for line in _lines(folder / _REFUSED):
            refused[str(line.get("what"))] += size if isinstance(size := line.get("size"), int) else 1
        for entry in _read(folder):
            if entry.kind != END:
                waiting[entry.what] += _size(entry)
        parts = [f"{_listed(waiting)} not sent yet"] if waiting else []
        parts += [f"{_listed(refused)} refused"] if refused and not only_waiting else []
        if parts:
            found[str(about.get("receiver", folder.name))] = "; ".join(parts)
    return found


def _file_size(file: Path) -> int:
    return file.stat().st_size if file.is_file() else 0


def _listed(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {what}" if count > 1 else what for what, count in counts.items())


def _size(entry: Entry) -> int:
    points = entry.payload.get("points")
    return len(points) if isinstance(points, list) else 1


def _read(folder: Path) -> list[Entry]:
    entries: dict[int, Entry] = {}
    for line in _lines(folder / _ENTRIES):
        with suppress(LookupError, TypeError, ValueError):  # a damaged line stays in the file, and is not sent
            for number in line.get("removed", ()):
                entries.pop(number, None)
            if "number" in line:
                entry = _entry(folder, **line)
                entries[entry.number] = entry
    return list(entries.values())


def _entry(folder: Path, number: int, what: str, kind: str, payload: dict[str, Any], file: str | None) -> Entry:
    for value, expected in ((number, int), (what, str), (kind, str), (payload, dict)):
        if not isinstance(value, expected):
            raise TypeError(f"expected {expected.__name__}")
    return Entry(number, what, kind, payload, folder / f"{number:06}" / file if file else None)


def _lines(file: Path) -> Iterator[dict[str, Any]]:
    if not file.is_file():
        return
    for text in file.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            line = json.loads(text)
        except (ValueError, RecursionError):  # of a killed process, the last one may be cut
            continue
        if isinstance(line, dict):
            yield line
