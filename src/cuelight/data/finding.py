"""Find the image files in a folder, and count what is left out."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

from PIL import Image

from cuelight.errors import DataError

_USUAL_SUFFIXES = (
    ".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".apng", ".ppm", ".bmp", ".dib", ".pgm", ".pbm", ".pnm", ".pfm",
    ".tif", ".tiff", ".webp", ".gif", ".avif", ".jp2", ".j2k", ".j2c", ".jpc", ".jpf", ".jpx", ".tga", ".qoi",
)  # fmt: skip
# Files that operating systems write without being asked.
_LITTER = frozenset({".DS_Store", "Thumbs.db", "desktop.ini", "__MACOSX"})
_MOST_NAMED = 5


def _readable(suffix: str) -> bool:
    return Image.registered_extensions().get(suffix) in Image.OPEN


IMAGE_SUFFIXES = tuple(filter(_readable, _USUAL_SUFFIXES))
"""Those of the formats that this installation of Pillow reads."""


class LeftOut:
    """Counts the files and folders of a dataset that are not used."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._suffixes: Counter[str] = Counter()
        self._images: list[str] = []
        self._folders: list[str] = []
        self._hidden: list[str] = []
        self._links: list[str] = []

    def add_file(self, path: str) -> None:
        """Count a file that is hidden or of another format."""
        name = os.path.basename(path)  # noqa: PTH119 - of 10^6 files
        if name in _LITTER or name.startswith("._"):
            return
        if name.startswith("."):
            self._hidden.append(self._name(path))
        else:
            self._suffixes[os.path.splitext(name)[1].lower() or "without suffix"] += 1  # noqa: PTH122

    def add_folder(self, path: str) -> None:
        """Count a folder that is hidden, or that has no meaning in the layout."""
        name = os.path.basename(path)  # noqa: PTH119
        if name not in _LITTER:
            (self._hidden if name.startswith(".") else self._folders).append(self._name(path))

    def add_link(self, path: str) -> None:
        """Count a link to a folder that is read already, or that contains the link."""
        self._links.append(self._name(path))

    def add_others(self, folder: Path, used: Collection[str]) -> None:
        """Count what a folder contains besides the ``used`` names."""
        for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
            if entry.name in used:
                continue
            if entry.is_dir():
                self._add_unknown(entry)
            elif is_image(entry.name):
                self._images.append(self._name(entry.path))
            else:
                self.add_file(entry.path)

    def _add_unknown(self, entry: os.DirEntry[str]) -> None:
        if entry.is_symlink() and contains(os.path.realpath(entry.path), os.path.realpath(os.path.dirname(entry.path))):  # noqa: PTH120
            self.add_link(entry.path)
        else:
            self.add_folder(entry.path)

    def __str__(self) -> str:
        """Return one line, with counts and the first names; empty if nothing is left out."""
        formats = ", ".join(f"{count} {suffix}" for suffix, count in sorted(self._suffixes.items(), key=_rank))
        parts = [
            f"{_number(self._suffixes.total(), 'file')} of other formats ({formats})" if formats else "",
            _listed("image", "in no folder of the layout", self._images),
            _listed("folder", "that the layout does not know", self._folders),
            _listed("name", "beginning with a dot", self._hidden),
            _listed("link", "to folders that are read already or contain it", self._links),
        ]
        line = "; ".join(filter(None, parts))
        return f"{self._root}: not used: {line}" if line else ""

    def _name(self, path: str) -> str:
        return os.path.relpath(path, self._root)


def walk_images(folder: Path, left_out: LeftOut | None = None, others: Iterable[Path] = ()) -> Iterator[str]:
    """Yield the image files of a folder and its subfolders in any order; hidden ones are ignored.

    Links to folders are followed, but each folder is read once, and none of ``others``, such as those of other classes.
    A folder that cannot be read raises ``DataError``.
    """
    left_out = left_out or LeftOut(folder)
    start = os.path.realpath(folder)
    foreign = [os.path.realpath(other) for other in others]
    read = [start]
    for parent, folders, names in os.walk(folder, onerror=_refuse, followlinks=True):
        followed = []
        for name in sorted(folders):
            path = os.path.join(parent, name)  # noqa: PTH118
            if name.startswith(".") or name in _LITTER:
                left_out.add_folder(path)
            elif os.path.islink(path) and _is_known(os.path.realpath(path), [*read, *foreign], parent):  # noqa: PTH114
                left_out.add_link(path)
            else:
                if os.path.islink(path):  # noqa: PTH114
                    read.append(os.path.realpath(path))
                followed.append(name)
        folders[:] = followed
        for name in names:
            if is_image(name):
                yield os.path.join(parent, name)  # noqa: PTH118 - of 10^6 files
            else:
                left_out.add_file(os.path.join(parent, name))  # noqa: PTH118


def is_image(name: str) -> bool:
    """Return whether a file is read as an image, by its name."""
    return name.lower().endswith(IMAGE_SUFFIXES) and not name.startswith(".")


def contains(folder: str | Path, path: str | Path) -> bool:
    """Return whether ``path`` is ``folder`` or below it; both are real paths."""
    return Path(path).is_relative_to(folder)


def _refuse(error: OSError) -> None:
    raise DataError(
        f"{error.filename}: this folder cannot be read: {error.strerror}. Change its permissions."
    ) from error


def _is_known(target: str, read: Iterable[str], parent: str) -> bool:
    """Return whether a folder contains the link to it, or overlaps one that is read already."""
    return any(contains(target, folder) or contains(folder, target) for folder in (*read, os.path.realpath(parent)))


def _rank(entry: tuple[str, int]) -> tuple[int, str]:
    return -entry[1], entry[0]


def _number(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def _listed(what: str, which: str, names: list[str]) -> str:
    if not names:
        return ""
    more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    return f"{_number(len(names), what)} {which} ({', '.join(names[:_MOST_NAMED])}{more})"
