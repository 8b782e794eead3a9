"""Write files whole or not at all, read JSON, hash files, and write their paths."""

from __future__ import annotations

import glob
import hashlib
import json
import math
import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, BinaryIO

from cuelight.errors import CuelightError, WriteError

TEMPORARY_SUFFIX = ".partial"
_BLOCK = 1024**2
_LARGEST_JSON = 256 * 1024**2  # bytes; a confusion matrix of 4,000 classes


@contextmanager
def atomic_write(path: Path) -> Iterator[BinaryIO]:
    """Open a binary file for writing that gets its name only when it is complete.

    The bytes go to a temporary file in the same folder, which is flushed to disk and renamed. Until then, and after any
    error, an existing file of that name is unchanged. Missing parent folders are created.

    Raises:
        WriteError: If the file cannot be written.
    """
    try:
        with _renamed_when_complete(path) as file:
            yield file
    except OSError as error:
        occupied = next((parent for parent in path.parents if parent.is_file()), None)
        reason = f"{occupied} is a file, and a folder is needed" if occupied else error.strerror or str(error)
        raise WriteError(error.errno, reason, str(path)) from error


@contextmanager
def _renamed_when_complete(path: Path) -> Iterator[BinaryIO]:
    path.parent.mkdir(parents=True, exist_ok=True)
    # Not tempfile: only the owner can read its files, and the usual mode is known only from os.umask, which has to
    # change it for all threads.
    temporary = path.parent / f".{path.name}.{secrets.token_hex(8)}{TEMPORARY_SUFFIX}"
    try:
        with temporary.open("x+b") as file:  # some callers read back what they wrote
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)  # so that the rename survives a power failure
    finally:
        os.close(folder)


def write_text(path: Path, text: str) -> None:
    """Write a text file as UTF-8, whole or not at all."""
    with atomic_write(path) as file:
        file.write(text.encode())


def write_json(path: Path, value: Any) -> None:
    """Write plain data as JSON, whole or not at all. Numbers that are not finite become null."""
    write_text(path, as_json(value))


def as_json(value: Any) -> str:
    """Return plain data as JSON. Numbers that are not finite become null, and paths texts."""
    return json.dumps(without_nan(value), indent=2, allow_nan=False, default=str) + "\n"


def without_nan(value: Any) -> Any:
    """Return plain data with ``None`` in place of numbers that are not finite."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {key: without_nan(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [without_nan(entry) for entry in value]
    return value


def read_json(path: Path, remedy: str, kind: Any = dict) -> Any:
    """Read a JSON file that holds one ``kind`` of value, a class or any annotation; ``None`` if there is no such file.

    Raises:
        CuelightError: It cannot be read, or is damaged; ``remedy`` ends the message.
    """
    try:
        if path.stat().st_size > _LARGEST_JSON:
            raise CuelightError(f"{path}: this file has more than {_LARGEST_JSON // 1024**2} MiB. {remedy}")
        content = json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    except OSError as error:
        raise CuelightError(
            f"{path}: this file cannot be read: {error.strerror}. Fix its permissions or its disk."
        ) from error
    except (ValueError, RecursionError) as error:
        raise CuelightError(f"{path}: this file is damaged: {error}. {remedy}") from error
    if not isinstance(kind, type):
        return _fitting(content, kind, path, remedy)
    if not isinstance(content, kind):
        found = type(content).__name__
        raise CuelightError(f"{path}: this file is damaged: expected a {kind.__name__}, got a {found}. {remedy}")
    return content


def _fitting(content: Any, annotation: Any, path: Path, remedy: str) -> Any:
    from pydantic import TypeAdapter, ValidationError  # noqa: PLC0415 - slow, and most files are not checked so closely

    try:
        return TypeAdapter(annotation).validate_python(content)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise CuelightError(f"{path}: this file is damaged: {place}: {first['msg']}. {remedy}") from error


def sha256_of(source: Path | IO[bytes]) -> str:
    """Return the SHA-256 of a file, or of the rest of an open file, as 64 hexadecimal digits."""
    if isinstance(source, Path):
        with source.open("rb") as file:
            return sha256_of(file)
    digest = hashlib.sha256()
    while block := source.read(_BLOCK):
        digest.update(block)
    return digest.hexdigest()


def relative_to_run(path: Path, directory: Path) -> str:
    """Return a file's path relative to the run directory, which stays valid when that is moved; absolute if outside.

    Both may contain ``..`` or symbolic links to folders.
    """
    file, folder = path.parent.resolve() / path.name, directory.resolve()
    return str(file.relative_to(folder) if file.is_relative_to(folder) else file)


def short_path(path: Path) -> str:
    """Return a path relative to the working directory if it is inside, absolute otherwise."""
    relative = os.path.relpath(path)
    return str(path.absolute()) if relative.startswith("..") else relative


def remove_partial_files(folder: Path, name: str | None = None) -> None:
    """Remove the temporary files of ``name``, or of any file, that a killed process left directly in a folder."""
    of_one = f"{glob.escape(name)}." if name else ""
    for leftover in folder.glob(f".{of_one}*{TEMPORARY_SUFFIX}"):
        with suppress(OSError):
            leftover.unlink()
