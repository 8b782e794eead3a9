"""A tracker that keeps its files in a folder: of this machine, or of any file system that fsspec knows."""

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
    """Files in a folder, each whole or not at all.

    Args:
        place: The folder, or its URL such as ``s3://bucket/logs``.
    """

    is_shared = True

    def __init__(self, place: str) -> None:
        self.place = place

    def log_artifact(self, file: Path, folder: str = "", aliases: Sequence[str] = (), *, wait: bool = True) -> str:
        """Copy a file into the folder; see ``Tracker.log_artifact``.

        Args:
            file: The file.
            folder: A folder within this one.
            aliases: Not used: a folder has one version of a file.
            wait: Not used: the file is there when this returns.

        Returns:
            Where it is, as a URL or a path.

        Raises:
            OSError: If it cannot be written, or has another size there.
        """
        files, target = self._locate(file.name, folder)
        if isinstance(files, LocalFileSystem):
            # A folder within is written by one thread alone, this one by several.
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
        """Remove a file; see ``Tracker.delete_artifact``.

        Args:
            name: Its name.
            folder: The folder within this one.
        """
        files, target = self._locate(name, folder)
        files.invalidate_cache()
        if files.exists(target):
            files.rm_file(target)

    def has(self, file: Path) -> bool:
        """Return whether a file is in the folder already, or in one below.

        Args:
            file: The file, on this machine.

        Returns:
            Whether it is; never for a folder elsewhere.
        """
        files, root = url_to_fs(self.place)
        return isinstance(files, LocalFileSystem) and file.resolve().is_relative_to(Path(root).resolve())

    def _locate(self, name: str, folder: str) -> tuple[Any, str]:
        files, root = url_to_fs(self.place)
        return files, "/".join(part for part in (root.rstrip("/"), folder.strip("/"), name) if part)


def _put(files: AbstractFileSystem, file: Path, target: str) -> None:
    """Send a file to another machine, where it appears when all of it was received."""
    if type(files).mv is AbstractFileSystem.mv:  # a copy: an object store renames nothing, and shows whole objects only
        files.put_file(str(file), target)
        return
    folder, _, name = target.rpartition("/")
    temporary = f"{folder}/.{name}{TEMPORARY_SUFFIX}"
    files.put_file(str(file), temporary)
    if files.exists(target):
        files.rm_file(target)  # not every server renames onto a file
    files.mv(temporary, target)
