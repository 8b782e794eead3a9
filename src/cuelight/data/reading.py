"""Read image files upright, and refuse those whose values are not known."""

from __future__ import annotations

import io
import os
import struct
import unicodedata
import zlib
from pathlib import Path
from typing import NamedTuple

from PIL import Image, ImageOps, UnidentifiedImageError

from cuelight.data.header import Header, read_header
from cuelight.errors import DataError
from cuelight.images.value_range import ValueRange, has_more_than_8_bits, value_problem

_SIXTEEN_BITS = (0, 65535)
_MODES = frozenset({"1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr", "HSV"})
_WITH_STRAIGHT_ALPHA = {"La": "LA", "RGBa": "RGBA"}

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


def read_image(path: str, value_range: ValueRange | None = None, content: bytes | None = None) -> Image.Image:
    """Read an image file, or its ``content``, turned upright by its EXIF orientation.

    An image of more than 8 bits is returned as it is stored, for ``images.tensors`` to scale; without a
    ``value_range`` it raises ``UnreadableImageError``, and so does a missing or broken file, or one of several frames.
    """
    return read_with_header(path, value_range, content)[0]


def read_with_header(
    path: str, value_range: ValueRange | None = None, content: bytes | None = None
) -> tuple[Image.Image, Header]:
    """Do as :func:`read_image`, and return the header too."""
    image, header = open_image(path, "image", content)
    try:
        return _with_known_values(image, header, value_range), header
    except ValueError as error:
        raise UnreadableImageError(path, str(error)) from error


def open_image(path: str, kind: str, content: bytes | None = None) -> tuple[Image.Image, Header]:
    """Load an image file, or its ``content``, turned upright, with any values; return its header too.

    A missing or broken file raises ``UnreadableImageError``, which names the ``kind``, such as a mask; so does one of
    several frames.
    """
    try:
        is_special = os.path.exists(path) and not os.path.isfile(path)  # noqa: PTH110, PTH113 - for each of 10^6 files
        if content is None and is_special:
            raise UnreadableImageError(path, "it is a folder, a pipe or a device, not a file", kind)
        with Image.open(path if content is None else io.BytesIO(content)) as image:
            header = read_header(image)
            image.load()
            if header.turned:
                ImageOps.exif_transpose(image, in_place=True)
            return image, header
    except FileNotFoundError as error:
        raise UnreadableImageError(path, "the file no longer exists", kind) from error
    except UnidentifiedImageError as error:
        reason = "it is not an image, or Pillow does not support its format"
        raise UnreadableImageError(path, reason, kind) from error
    except _UNREADABLE as error:
        raise UnreadableImageError(path, str(error) or type(error).__name__, kind) from error


def portable_name(path: str, root: Path) -> str:
    """Return a path relative to ``root``, equal on every file system: macOS decomposes accented letters."""
    name = unicodedata.normalize("NFC", os.path.relpath(path, root).replace(os.sep, "/"))
    return name.encode("utf-8", "backslashreplace").decode()


def _with_known_values(image: Image.Image, header: Header, value_range: ValueRange | None) -> Image.Image:
    if has_more_than_8_bits(image):
        if problem := value_problem(image, value_range):
            raise ValueError(problem)
        return image
    if header.is_16_bit_color and tuple(value_range or ()) != _SIXTEEN_BITS:
        raise ValueError(
            "it is a color image with 16 bits per channel, of which only the upper 8 can be read; that needs "
            f"data.params.value_range: [0, 65535], but it is {list(value_range) if value_range else 'not set'}. If its "
            "black and white are other values, save it with 8 bits per channel"
        )
    if image.mode == "P" and "transparency" in image.info:
        return image.convert("RGBA")  # Pillow warns if such a palette is converted to anything else
    if image.mode in _WITH_STRAIGHT_ALPHA:
        return image.convert(_WITH_STRAIGHT_ALPHA[image.mode])
    if image.mode not in _MODES:
        raise ValueError(f"its mode {image.mode} cannot be converted to RGB; save it as an RGB image")
    return image
