"""Reading an NN Archive without luxonis-ml; its content is not trusted."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import json
import lzma
import os
import tarfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any, BinaryIO, TypeVar

from cuelight.errors import ArchiveError

T = TypeVar("T")

CONFIG_NAME = "config.json"
CHECKSUM = "onnx_sha256"

_MAX_MEMBERS = 1000
_MAX_CONFIG_BYTES = 16 * 1024**2
_MAX_BYTES = 2 * 1024**3 + _MAX_CONFIG_BYTES  # unpacked; an ONNX file cannot be larger than 2 GiB
_MAX_RATIO = 100  # of the unpacked to the packed size; weights hardly compress
_ALWAYS_ALLOWED = 256 * 1024**2  # unpacked, for small models
_DECOMPRESSORS: dict[bytes, Callable[[BinaryIO], Any]] = {b"\x1f\x8b": gzip.open, b"BZ": bz2.open, b"\xfd7": lzma.open}
_DAMAGED = (tarfile.TarError, OSError, EOFError, zlib.error, lzma.LZMAError, ValueError, RecursionError)


def scan_archive(file: BinaryIO, source: Path, consume: Callable[[IO[bytes]], T]) -> tuple[dict[str, Any], T]:
    """Read an NN Archive of any compression once, from front to back, without unpacking it to the disk.

    Returns the content of ``config.json``, and what ``consume`` returned for the model that it names; ``consume`` also
    reads other members that come before the configuration. Raises ArchiveError if it is not a whole NN Archive.
    """
    magic = file.read(2)
    file.seek(0)
    stream: Any = _Limited(
        _DECOMPRESSORS[magic](file) if magic in _DECOMPRESSORS else file, os.fstat(file.fileno()).st_size
    )
    try:
        with tarfile.open(fileobj=stream, mode="r:") as tar:
            return _scan(tar, source, consume)
    except _DAMAGED as error:
        raise ArchiveError(f"{source}: this is not a whole NN Archive: {error}. Write or copy it again.") from error


class _Limited:
    """A stream that is not read beyond what an archive of ``stored`` bytes can hold."""

    def __init__(self, stream: Any, stored: int) -> None:
        self._stream = stream
        self._limit = min(_MAX_BYTES, max(_ALWAYS_ALLOWED, _MAX_RATIO * stored))
        self.seek, self.tell = stream.seek, stream.tell

    def read(self, size: int) -> bytes:
        if self.tell() + size > self._limit:
            raise tarfile.ReadError(f"unpacked it has more than {self._limit} bytes, too large for an NN Archive")
        return bytes(self._stream.read(size))


def _scan(tar: tarfile.TarFile, source: Path, consume: Callable[[IO[bytes]], T]) -> tuple[dict[str, Any], T]:
    config: dict[str, Any] | None = None
    consumed: dict[str, T] = {}
    for member in _members(tar, source):
        wanted = config["model"]["metadata"]["path"] if config else None
        if member.name == CONFIG_NAME:
            config = _read_config(tar, member, source)
        elif _is_plain(member) and wanted in (None, member.name):
            consumed[member.name] = consume(_open(tar, member, source))
    inside = ", ".join(map(repr, tar.getnames()[:10])) or "nothing"
    if config is None:
        raise ArchiveError(f"{source}: there is no {CONFIG_NAME!r} at the top level; inside is {inside}.")
    name = config["model"]["metadata"]["path"]
    if name not in tar.getnames():
        raise ArchiveError(f"{source}: {CONFIG_NAME} names {name!r}, which is missing; inside is {inside}.")
    if name not in consumed:
        raise ArchiveError(f"{source}: {name!r} is not a plain file inside the archive; it was not read.")
    return config, consumed[name]


def _members(tar: tarfile.TarFile, source: Path) -> Iterator[tarfile.TarInfo]:
    names: set[str] = set()
    for member in tar:
        if len(names) >= _MAX_MEMBERS:
            raise ArchiveError(f"{source}: it has too many files, too large for an NN Archive; it was not read.")
        if member.name in names:
            raise ArchiveError(f"{source}: it contains {member.name!r} twice; expected it once.")
        names.add(member.name)
        yield member


def _is_plain(member: tarfile.TarInfo) -> bool:
    path = Path(member.name)
    return member.isreg() and not member.issparse() and not path.is_absolute() and ".." not in path.parts


def _read_config(tar: tarfile.TarFile, member: tarfile.TarInfo, source: Path) -> dict[str, Any]:
    if member.size > _MAX_CONFIG_BYTES:
        raise ArchiveError(f"{source}: {CONFIG_NAME} is too large, {member.size} bytes.")
    config = json.loads(_open(tar, member, source).read())
    try:
        named = isinstance(config["model"]["metadata"]["path"], str)
    except (KeyError, TypeError, IndexError):
        named = False
    if not named:
        raise ArchiveError(f"{source}: {CONFIG_NAME} has no model.metadata.path, so it names no model.")
    return dict(config)


def _open(tar: tarfile.TarFile, member: tarfile.TarInfo, source: Path) -> IO[bytes]:
    file = tar.extractfile(member) if _is_plain(member) else None
    if file is None:
        raise ArchiveError(f"{source}: {member.name!r} is not a plain file inside the archive; it was not read.")
    return file


def read_archive(path: Path) -> tuple[dict[str, Any], bytes]:
    """Return the content of ``config.json`` in an NN Archive, and its model, byte for byte.

    It may be plain or compressed by gzip, bzip2 or xz. Raises ArchiveError if it is missing or damaged.
    """
    try:
        file = path.open("rb")
    except OSError as error:
        raise ArchiveError(f"{path}: the archive cannot be read: {error.strerror}.") from error
    with file:
        config, model = scan_archive(file, path, lambda stream: stream.read())
    checksum = config["model"]["metadata"].get(CHECKSUM)
    if checksum is not None and checksum != hashlib.sha256(model).hexdigest():
        raise ArchiveError(
            f"{path}: the model inside is damaged: its checksum does not match. Write the archive again."
        )
    return config, model
