"""Writing an NN Archive: a tar of an ONNX file and a ``config.json``."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import logging
import lzma
import os
import tarfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import IO, Any, BinaryIO, Literal

from cuelight.errors import ArchiveError
from cuelight.export.archive.check import HeadCheck, find_problems
from cuelight.export.archive.config import build_config
from cuelight.export.archive.reading import CHECKSUM, CONFIG_NAME, scan_archive
from cuelight.utils.files import atomic_write, sha256_of

logger = logging.getLogger(__name__)

Compression = Literal["none", "gz", "bz2", "xz"]

# The fastest level of each, because weights hardly compress at any.
_COMPRESSORS: dict[Compression, Callable[[BinaryIO], Any]] = {
    "none": nullcontext,
    "gz": lambda file: gzip.GzipFile(filename="", mode="wb", compresslevel=1, fileobj=file, mtime=0),
    "bz2": lambda file: bz2.BZ2File(file, "wb", compresslevel=1),
    "xz": lambda file: lzma.LZMAFile(file, "wb", preset=0),  # noqa: SIM115 - closed by the caller
}


def archive_suffix(compression: Compression) -> str:
    """Return the file name extension for a compression.

    Examples:
        >>> archive_suffix("none"), archive_suffix("xz")
        ('.tar', '.tar.xz')
    """
    return ".tar" if compression == "none" else f".tar.{compression}"


def write_archive(
    onnx: Path,
    path: Path,
    *,
    name: str,
    heads: Sequence[Mapping[str, Any]] | None,
    compression: Compression = "none",
    check_head: HeadCheck | None = None,
    checksum: str | None = None,
) -> Path:
    """Write an ONNX file and its configuration to an NN Archive, and check the archive.

    The same input gives the same bytes. The archive appears complete and checked, or not at all.

    Args:
        onnx: The ONNX file; its metadata becomes the configuration.
        path: The archive; :func:`archive_suffix` returns the extension.
        name: Name of the model.
        heads: How a device decodes the outputs, as a module's ``archive_heads`` returns them; none if empty.
        compression: How the archive is compressed.
        check_head: Further checks of each head.
        checksum: The SHA-256 of the ONNX file, if it is known.

    Returns:
        The path.

    Raises:
        ArchiveError: luxonis-ml is not installed, or the configuration does not fit the model.
        WriteError: The archive cannot be written.
    """
    config = build_config(onnx, name=name, heads=heads)
    if problems := find_problems(config["model"], check_head):
        raise ArchiveError(
            "\n  ".join([f"{path}: the configuration of the archive does not match {onnx.name}:", *problems])
        )
    checksum = config["model"]["metadata"][CHECKSUM] = checksum or sha256_of(onnx)
    if not any(entry["preprocessing"] for entry in config["model"]["inputs"]):
        logger.warning(
            "%s has no preprocessing metadata, so neither does %s. Set `preprocessing` on your data module.",
            onnx.name,
            path.name,
        )
    with atomic_write(path) as file:
        with _COMPRESSORS[compression](file) as stream:
            _write_tar(stream, config, onnx)
        file.flush()
        with os.fdopen(os.dup(file.fileno()), "rb") as written:
            written.seek(0)
            if scan_archive(written, path, sha256_of) != (config, checksum):
                raise ArchiveError(f"{path}: the archive differs from what was written. Write it again.")
    return path


def _write_tar(stream: IO[bytes], config: Mapping[str, Any], onnx: Path) -> None:
    text = json.dumps(config, indent=2).encode()
    with tarfile.open(fileobj=stream, mode="w") as tar, onnx.open("rb") as model:
        # Without owner and time, so that the same content gives the same bytes.
        described, included = tarfile.TarInfo(CONFIG_NAME), tarfile.TarInfo(config["model"]["metadata"]["path"])
        described.size, included.size = len(text), onnx.stat().st_size
        tar.addfile(described, io.BytesIO(text))
        tar.addfile(included, model)
