"""Find the image files in a folder, and count the files that are not used."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Collection, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

from PIL import Image

from cuelight.errors import DataError
from cuelight.utils.words import first_of

_USUAL_SUFFIXES = (
    ".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".apng", ".ppm", ".bmp", ".dib", ".pgm", ".pbm", ".pnm", ".pfm",
    ".tif", ".tiff", ".webp", ".gif", ".avif", ".jp2", ".j2k", ".j2c", ".jpc", ".jpf", ".jpx", ".tga", ".qoi",
)  # fmt: skip
# Files that operating systems write without being asked.
_SYSTEM_FILES = frozenset({"Thumbs.db", "desktop.ini", "__MACOSX"})
_MOST_NAMED = 5

_IMAGE = ("image", "in no folder of the layout")
_SPECIAL = ("special file", "such as a pipe")
_FOLDER = ("folder", "that the layout does not know")
_REPEATED = ("folder", "reached twice or in a circle")
_UNLISTED = ("image", "without annotation")


def _readable(suffix: str) -> bool:
    return Image.registered_extensions().get(suffix) in Image.OPEN


IMAGE_SUFFIXES = tuple(filter(_readable, _USUAL_SUFFIXES))
"""Those of the formats that this installation of Pillow reads."""


class UnusedFiles:
    """Counts the files and folders of a dataset that are not used; hidden files are ignored.

    Args:
        root: The folder of the dataset.
        ignored: Suffixes of further files that are not counted, in lower case.
    """

    def __init__(self, root: Path, ignored: Collection[str] = ()) -> None:
        self._root = root
        self._ignored = ignored
        self._suffixes: Counter[str] = Counter()
        kinds = (_IMAGE, _SPECIAL, _FOLDER, _REPEATED, _UNLISTED)
        self._names: dict[tuple[str, str], list[str]] = {kind: [] for kind in kinds}

    def add_file(self, name: str) -> None:
        """Count a file of another format."""
        suffix = Path(name).suffix.lower()
        if name not in _SYSTEM_FILES and not name.startswith(".") and suffix not in self._ignored:
            self._suffixes[suffix or "without suffix"] += 1

    def add_repeated(self, path: Path) -> None:
        """Count a folder that is read by another path, or that contains the link to it."""
        self._add(_REPEATED, path)

    def add_special(self, path: str) -> None:
        """Count a pipe, a device or a socket with the name of an image: reading it may never end."""
        self._add(_SPECIAL, path)

    def add_without_annotation(self, path: str) -> None:
        """Count an image that no annotation file lists."""
        self._add(_UNLISTED, path)

    def add_others(self, folder: Path, used: Collection[str]) -> None:
        """Count what a folder contains besides the ``used`` names."""
        for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
            if entry.name in used or entry.name in _SYSTEM_FILES:
                continue
            if entry.is_dir():
                self._add(_FOLDER, entry.path)
            elif is_image(entry.name):
                self._add(_IMAGE, entry.path)
            else:
                self.add_file(entry.name)

    def _add(self, reason: tuple[str, str], path: str | Path) -> None:
        self._names[reason].append(os.path.relpath(path, self._root))

    def __str__(self) -> str:
        """Return one line, with counts and the first names; empty if everything is used."""
        formats = ", ".join(f"{count} {suffix}" for suffix, count in sorted(self._suffixes.items(), key=_rank))
        parts = [f"{_number(self._suffixes.total(), 'file')} of other formats ({formats})"] if formats else []
        parts += [_listed(*reason, names) for reason, names in self._names.items() if names]
        return f"{self._root}: not used: {'; '.join(parts)}" if parts else ""


def walk_images(folder: Path, unused: UnusedFiles | None = None, read: set[Path] | None = None) -> Iterator[str]:
    """Yield the image files of a folder and its subfolders in any order; hidden ones are ignored.

    Links to folders are followed, except to a folder above, and to one in ``read`` or below it: the real paths of the
    folders that other walks read. Those that links lead to are added. A folder that cannot be read raises
    ``DataError``.
    """
    unused = unused or UnusedFiles(folder)
    start = Path(os.path.realpath(folder))
    read = {start} if read is None else read
    waiting = [Path(folder)]
    while waiting:
        folders = []
        with _scan(waiting.pop()) as entries:
            for entry in entries:
                if entry.is_dir():
                    folders.append(entry)
                elif not is_image(entry.name):
                    unused.add_file(entry.name)
                elif entry.is_file() or not os.path.exists(entry.path):  # noqa: PTH110 - of 10^6 files
                    yield entry.path  # also a link to nothing, which is reported when it is read
                else:
                    unused.add_special(entry.path)
        followed = []
        for entry in sorted(folders, key=lambda entry: entry.name):
            if entry.name.startswith(".") or entry.name in _SYSTEM_FILES:
                continue
            path, is_link = Path(entry.path), entry.is_symlink()
            target = path.resolve()
            if target in read or (is_link and (target in start.parents or not read.isdisjoint(target.parents))):
                unused.add_repeated(path)
                continue
            if is_link:
                read.add(target)
            followed.append(path)
        waiting += reversed(followed)


def is_file(path: str | Path) -> bool:
    """Return whether there is a file at a path; at one that no file can have, such as a very long one, there is not."""
    return os.path.isfile(path)  # noqa: PTH113 - Path.is_file raises OSError


def is_image(name: str) -> bool:
    """Return whether a file is read as an image, by its name."""
    return name.lower().endswith(IMAGE_SUFFIXES) and not name.startswith(".")


def _scan(folder: Path) -> AbstractContextManager[Iterator[os.DirEntry[str]]]:
    try:
        return os.scandir(folder)
    except OSError as error:
        raise DataError(f"{folder}: this folder cannot be read: {error.strerror}. Change its permissions.") from error


def _rank(entry: tuple[str, int]) -> tuple[int, str]:
    return -entry[1], entry[0]


def _number(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def _listed(what: str, which: str, names: list[str]) -> str:
    return f"{_number(len(names), what)} {which} ({first_of(names, _MOST_NAMED)})"
