"""Reading an NN Archive without luxonis-ml, and without trusting it."""

from __future__ import annotations

import hashlib
import json
import lzma
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, BinaryIO

from cuelight.errors import ArchiveError

CONFIG_NAME = "config.json"
CHECKSUM = "onnx_sha256"

_MAX_MEMBERS = 1000
_MAX_CONFIG_BYTES = 16 * 1024**2
_MAX_BYTES = 4 * 1024**3  # of all members; an ONNX file cannot be larger than 2 GiB
_CHUNK = 1024**2
_DAMAGED = (tarfile.TarError, OSError, EOFError, zlib.error, lzma.LZMAError, ValueError, RecursionError)


@dataclass(frozen=True)
class Archive:
    """What is in an NN Archive.

    Args:
        config: The content of its ``config.json``.
        member: Name of the model inside.
        onnx: The model, byte for byte.
    """

    config: dict[str, Any]
    member: str
    onnx: bytes


class OpenArchive:
    """An NN Archive that is open for reading; nothing is ever written to the disk.

    Args:
        tar: The open tar file.
        source: Its path, for messages.
    """

    def __init__(self, tar: tarfile.TarFile, source: Path) -> None:
        self.source = source
        self._tar = tar
        self._members = self._list_members()

    def config(self) -> dict[str, Any]:
        """Read ``config.json``.

        Returns:
            Its content; the model's metadata names a model.

        Raises:
            ArchiveError: There is none at the top level, or it does not describe a model.
        """
        member = self._member(CONFIG_NAME)
        if member.size > _MAX_CONFIG_BYTES:
            raise ArchiveError(f"{self.source}: {CONFIG_NAME} is too large, {member.size} bytes.")
        config = json.loads(self._open(member).read())
        try:
            named = isinstance(config["model"]["metadata"]["path"], str)
        except (KeyError, TypeError, IndexError):
            named = False
        if not named:
            raise ArchiveError(f"{self.source}: {CONFIG_NAME} has no model.metadata.path, so it names no model.")
        return dict(config)

    def chunks(self, name: str) -> Iterator[bytes]:
        """Read a member piece by piece.

        Args:
            name: Its exact name.

        Yields:
            Its bytes.

        Raises:
            ArchiveError: There is no such file inside.
        """
        with self._open(self._member(name)) as file:
            while chunk := file.read(_CHUNK):
                yield chunk

    def _list_members(self) -> dict[str, tarfile.TarInfo]:
        members: dict[str, tarfile.TarInfo] = {}
        total = 0
        for member in self._tar:
            total += member.size
            if total > _MAX_BYTES or len(members) >= _MAX_MEMBERS:
                raise ArchiveError(f"{self.source}: there is more inside than in any NN Archive; it was not read.")
            if member.name in members:
                raise ArchiveError(f"{self.source}: {member.name!r} is inside twice; it is not clear which one counts.")
            members[member.name] = member
        return members

    def _member(self, name: str) -> tarfile.TarInfo:
        if name not in self._members:
            inside = ", ".join(map(repr, sorted(self._members)[:10])) or "nothing"
            raise ArchiveError(f"{self.source}: there is no {name!r} at the top level; inside is {inside}.")
        member = self._members[name]
        if not member.isreg() or member.issparse() or Path(name).is_absolute() or ".." in Path(name).parts:
            raise ArchiveError(f"{self.source}: {name!r} is not a plain file inside the archive; it was not read.")
        return member

    def _open(self, member: tarfile.TarInfo) -> IO[bytes]:
        file = self._tar.extractfile(member)
        if file is None:
            raise ArchiveError(f"{self.source}: {member.name!r} is not a plain file inside the archive.")
        return file


@contextmanager
def open_archive(file: BinaryIO, source: Path) -> Iterator[OpenArchive]:
    """Open an NN Archive of any compression.

    Args:
        file: The open file.
        source: Its path, for messages.

    Yields:
        The open archive.

    Raises:
        ArchiveError: It is damaged, also where that shows only while it is read.
    """
    try:
        with tarfile.open(fileobj=file, mode="r:*") as tar:
            yield OpenArchive(tar, source)
    except _DAMAGED as error:
        raise ArchiveError(f"{source}: this is not a whole NN Archive: {error}. Write or copy it again.") from error


def read_archive(path: Path) -> Archive:
    """Read an NN Archive into memory.

    Args:
        path: The file; plain or compressed by gzip, bzip2 or xz, which its content tells.

    Returns:
        Its configuration and model.

    Raises:
        ArchiveError: It is missing, damaged, or not an NN Archive.
    """
    try:
        file = path.open("rb")
    except OSError as error:
        raise ArchiveError(f"{path}: the archive cannot be read: {error.strerror}.") from error
    with file, open_archive(file, path) as archive:
        config = archive.config()
        metadata = config["model"]["metadata"]
        model = b"".join(archive.chunks(metadata["path"]))
    checksum = metadata.get(CHECKSUM)
    if checksum is not None and checksum != hashlib.sha256(model).hexdigest():
        raise ArchiveError(f"{path}: the model inside is damaged; its checksum is another. Write the archive again.")
    return Archive(config, metadata["path"], model)
