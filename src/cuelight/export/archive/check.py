"""Whether the archive that was written is the one that was meant."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

from cuelight.errors import ArchiveError
from cuelight.export.archive.problems import HeadCheck, find_problems
from cuelight.export.archive.reading import scan_archive
from cuelight.export.archive.schema import validate
from cuelight.utils.files import sha256_of


def check_archive(path: Path, onnx: Path, check_head: HeadCheck | None = None) -> None:
    """Open an archive and compare it with the model that shall be inside.

    Args:
        path: The archive.
        onnx: The ONNX file.
        check_head: What else is checked of each head.

    Raises:
        ArchiveError: It cannot be read, or something in it is wrong; the message lists all.
    """
    try:
        with path.open("rb") as file:
            check_open_archive(file, path, onnx, check_head)
    except OSError as error:
        raise ArchiveError(f"{path}: the archive cannot be read: {error.strerror}.") from error


def check_open_archive(file: BinaryIO, source: Path, onnx: Path, check_head: HeadCheck | None = None) -> None:
    """Check an archive that is open.

    Args:
        file: The open file.
        source: Its path, for messages.
        onnx: The ONNX file.
        check_head: What else is checked of each head.

    Raises:
        ArchiveError: It cannot be read, or something in it is wrong; the message lists all.
    """
    config, inside = scan_archive(file, source, sha256_of)
    problems = [] if inside == sha256_of(onnx) else [f"the model inside is not {onnx}, byte for byte"]
    refused = validate(config)[1]
    problems += [f"luxonis-ml refuses it: {problem}" for problem in refused]
    if not refused:
        problems += find_problems(config["model"], onnx, check_head)
    if problems:
        raise ArchiveError("\n  ".join([f"{source}: the archive does not fit its model:", *problems]))
