"""Text files that come with data, such as lists of classes and of images."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from pathlib import Path

from cuelight.errors import DataError


def read_bytes(file: Path) -> bytes:
    """Return the content of a file; ``DataError`` if it cannot be read, or is a pipe, which could block for ever."""
    try:
        if file.exists() and not file.is_file() and not file.is_dir():
            raise DataError(f"{file}: cannot be read: it is a pipe or a device, not a file.")
        return file.read_bytes()
    except OSError as error:
        raise DataError(f"{file}: cannot be read: {error.strerror or error}") from error


def read_text(file: Path) -> str:
    """Return the text of a UTF-8 file with or without a mark; ``DataError`` if it is unreadable or not UTF-8."""
    try:
        return read_bytes(file).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(
            f"{file}: this file is not UTF-8 (byte {error.start} is 0x{error.object[error.start]:02x}). Save it as "
            "UTF-8; editors call this the encoding."
        ) from error


def read_lines(file: Path) -> list[str]:
    """Return the lines that are not blank, without the spaces around them, of a file as for :func:`read_text`."""
    return [line.strip() for line in read_text(file).splitlines() if line.strip()]


def read_rows(file: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield the number of the last line of each row that is not blank, and its cells; the delimiter is guessed."""
    text = read_text(file)
    header = re.sub(r'"[^"]*"', "", text.lstrip(" \r\n").partition("\n")[0])
    delimiter = max(",;\t", key=header.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True, strict=True)
    try:
        for row in reader:
            if any(cells := [cell.strip() for cell in row]):
                yield reader.line_num, cells
    except csv.Error as error:
        raise DataError(f"{file}: line {reader.line_num}: this is not CSV: {error}.") from error
