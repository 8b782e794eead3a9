"""Read image files upright, with 8 bits per channel."""

from __future__ import annotations

import os
import struct
import unicodedata
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from cuelight.errors import DataError

_Result = TypeVar("_Result")

_ORIENTATION_TAG = 0x0112

# Raised by Pillow for broken files, depending on their format.
_UNREADABLE = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    IndexError,
    OverflowError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
)


class Unreadable(NamedTuple):
    """A file that cannot be read, and what it should contain, such as an image or a mask.

    It travels inside the batch, because an exception in a worker process loses its type.
    """

    path: str
    reason: str
    content: str = "image"


class UnreadableImageError(DataError):
    """An image or a mask cannot be read."""

    def __init__(self, path: str, reason: str, content: str = "image") -> None:
        self.unreadable = Unreadable(path, reason, content)
        super().__init__(
            f"{path}: the {content} cannot be read: {reason}. Replace or remove the file, or set on_error: skip."
        )


def read_image(path: str) -> Image.Image:
    """Read an image file with 8 bits per channel, turned upright by its EXIF orientation.

    Of 16 bits, the upper 8 are kept. A missing or broken file raises ``UnreadableImageError``.
    """
    return open_image(path, "image", _upright_with_8_bits)


def open_image(path: str, content: str, use: Callable[[Image.Image], _Result]) -> _Result:
    """Open an image file and return what ``use`` makes of it.

    A missing or broken file raises ``UnreadableImageError``, which names the ``content``, such as a mask.
    """
    try:
        with Image.open(path) as image:
            image.load()
            return use(image)
    except FileNotFoundError as error:
        raise UnreadableImageError(path, "the file no longer exists", content) from error
    except UnidentifiedImageError as error:
        reason = "it is not an image, or Pillow does not support its format"
        raise UnreadableImageError(path, reason, content) from error
    except _UNREADABLE as error:
        raise UnreadableImageError(path, str(error) or type(error).__name__, content) from error


def portable_name(path: str, root: Path) -> str:
    """Return a path relative to ``root``, equal on every file system: macOS decomposes accented letters."""
    name = unicodedata.normalize("NFC", os.path.relpath(path, root).replace(os.sep, "/"))
    return name.encode("utf-8", "backslashreplace").decode()


def set_upright(image: Image.Image) -> None:
    """Turn an image in place by its EXIF orientation."""
    if image.getexif().get(_ORIENTATION_TAG, 1) != 1:
        ImageOps.exif_transpose(image, in_place=True)


def _upright_with_8_bits(image: Image.Image) -> Image.Image:
    set_upright(image)
    return _with_8_bits(image)


def _with_8_bits(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I;16"):
        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    if image.mode == "P" and "transparency" in image.info:
        return image.convert("RGBA")  # Pillow warns if such a palette is converted to anything else
    return image
