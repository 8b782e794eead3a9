"""Text files that come with data, such as lists of classes and of images."""

from __future__ import annotations

from pathlib import Path

from cuelight.errors import DataError


def read_lines(file: Path) -> list[str]:
    """Return the lines that are not blank, without the spaces around them, of a UTF-8 file with or without a mark.

    Raises:
        DataError: The file cannot be read, or has another encoding.
    """
    try:
        text = file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(
            f"{file}: this file is not UTF-8 (byte {error.start} is 0x{error.object[error.start]:02x}). Save it as "
            "UTF-8; editors call this the encoding."
        ) from error
    except OSError as error:
        raise DataError(f"{file}: cannot be read: {error.strerror or error}") from error
    return [line.strip() for line in text.splitlines() if line.strip()]
