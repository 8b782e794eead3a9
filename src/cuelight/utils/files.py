"""Files that appear whole or not at all."""

from __future__ import annotations

import glob
import hashlib
import json
import math
import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, BinaryIO

TEMPORARY_SUFFIX = ".partial"
_BLOCK = 1024**2


@contextmanager
def atomic_write(path: Path) -> Iterator[BinaryIO]:
    """Open a file for writing that takes its name only when it is complete.

    The bytes go to a temporary file in the same folder, are flushed to the disk, and are then renamed. Until that
    moment, and after any error, an older file of that name stays as it was.

    Args:
        path: Where the file shall be; missing parent folders are made.

    Yields:
        The open binary file.

    Raises:
        OSError: If the disk is full or the folder cannot be written; the temporary file is removed.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # Not by tempfile, which takes all rights from others: which ones to give back only os.umask tells, by a change that
    # other threads have to bear.
    temporary = path.parent / f".{path.name}.{secrets.token_hex(8)}{TEMPORARY_SUFFIX}"
    try:
        with temporary.open("x+b") as file:  # some read again what they have written
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def write_text(path: Path, text: str) -> None:
    """Write a text file whole or not at all.

    Args:
        path: Where the file shall be.
        text: Its content, written as UTF-8.
    """
    with atomic_write(path) as file:
        file.write(text.encode())


def write_json(path: Path, value: Any) -> None:
    """Write plain data as JSON, whole or not at all.

    Args:
        path: Where the file shall be.
        value: Mappings, sequences and scalars; numbers that are not finite become null, which every reader knows.
    """
    write_text(path, json.dumps(_finite(value), indent=2, allow_nan=False) + "\n")


def _finite(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {key: _finite(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(entry) for entry in value]
    return value


def sha256_of(source: Path | IO[bytes]) -> str:
    """Compute the SHA-256 of a file.

    Args:
        source: Its path; or an open file, of which what is left is read.

    Returns:
        64 hexadecimal digits.
    """
    if isinstance(source, Path):
        with source.open("rb") as file:
            return sha256_of(file)
    digest = hashlib.sha256()
    while block := source.read(_BLOCK):
        digest.update(block)
    return digest.hexdigest()


def relative_to_run(path: Path, directory: Path) -> str:
    """Write the path of a file so that it holds when the run directory is moved.

    Args:
        path: The file.
        directory: The run directory.

    Returns:
        The path from the run directory on; the absolute one of a file outside.
    """
    file, folder = path.absolute(), directory.absolute()
    return str(file.relative_to(folder) if file.is_relative_to(folder) else file)


def short_path(path: Path) -> str:
    """Write a path as short as it can be typed.

    Args:
        path: Any path.

    Returns:
        The path relative to the working directory if it is inside, the absolute one otherwise.
    """
    relative = os.path.relpath(path)
    return str(path.absolute()) if relative.startswith("..") else relative


def remove_partial_files(folder: Path, name: str | None = None) -> None:
    """Remove the temporary files that a killed process left in a folder.

    Args:
        folder: The folder to clean, without those inside it; nothing happens if it does not exist.
        name: The file of which they are; of any if left out.
    """
    of_one = f"{glob.escape(name)}." if name else ""
    for leftover in folder.glob(f".{of_one}*{TEMPORARY_SUFFIX}"):
        leftover.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    """Make a rename survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
