"""Files of a tracker in a folder, local or on any file system of fsspec."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fsspec import AbstractFileSystem
from fsspec.core import url_to_fs
from fsspec.implementations.local import LocalFileSystem

from cuelight.utils.files import TEMPORARY_SUFFIX, atomic_write, remove_partial_files


class Folder:
    """Files in a folder, or at a URL such as ``s3://bucket/logs``, each complete or not there at all."""

    is_shared = True

    def __init__(self, place: str) -> None:
        self.place = place

    def log_artifact(self, file: Path, folder: str = "", aliases: Sequence[str] = (), *, wait: bool = True) -> str:
        """Copy a file into the folder, and return its path or URL; ``aliases`` and ``wait`` are not used."""
        files, target = self._locate(file.name, folder)
        if isinstance(files, LocalFileSystem):
            # Several threads write to the top folder: there, remove partial files of this file only.
            remove_partial_files(Path(target).parent, None if folder else file.name)
            with file.open("rb") as source, atomic_write(Path(target)) as copy:
                shutil.copyfileobj(source, copy)
            return str(target)
        _put(files, file, target)
        files.invalidate_cache()
        if (size := files.size(target)) != file.stat().st_size:
            raise OSError(f"{files.unstrip_protocol(target)} has {size} bytes, {file} has {file.stat().st_size}.")
        return str(files.unstrip_protocol(target))

    def delete_artifact(self, name: str, folder: str = "") -> None:
        """Remove a file, if it exists."""
        files, target = self._locate(name, folder)
        files.invalidate_cache()
        if files.exists(target):
            files.rm_file(target)

    def has(self, file: Path) -> bool:
        """Return whether a file is in the folder or below it; always false for a remote folder."""
        files, root = url_to_fs(self.place)
        return isinstance(files, LocalFileSystem) and file.resolve().is_relative_to(Path(root).resolve())

    def _locate(self, name: str, folder: str) -> tuple[Any, str]:
        files, root = url_to_fs(self.place)
        return files, "/".join(part for part in (root.rstrip("/"), folder.strip("/"), name) if part)


def _put(files: AbstractFileSystem, file: Path, target: str) -> None:
    """Upload a file; it appears under its name when all of it has arrived."""
    if type(files).mv is AbstractFileSystem.mv:  # an object store: it has no rename, and shows complete objects only
        files.put_file(str(file), target)
        return
    folder, _, name = target.rpartition("/")
    temporary = f"{folder}/.{name}{TEMPORARY_SUFFIX}"
    files.put_file(str(file), temporary)
    if files.exists(target):
        files.rm_file(target)  # some servers refuse to rename onto a file
    files.mv(temporary, target)
