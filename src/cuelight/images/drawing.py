"""Drawing helpers: fonts, text that fits, readable image sizes, and rows of pictures."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import matplotlib as mpl
from PIL import Image, ImageFont

BACKGROUND, TEXT, FAINT = "#ffffff", "#1f2933", "#52606d"
_ELLIPSIS = "…"


@cache
def font(size: int, bold: bool = False) -> ImageFont.FreeTypeFont:
    """Load a font of matplotlib, which covers more alphabets than Pillow's; ``size`` is its height in pixels."""
    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    return ImageFont.truetype(str(Path(mpl.get_data_path(), "fonts", "ttf", name)), size)


def shortened(text: str, of_font: ImageFont.FreeTypeFont, width: float) -> str:
    """Fit a text on a line of ``width`` pixels, with an ellipsis for what is cut off. Line breaks become spaces."""
    text = " ".join(text.split())
    if of_font.getlength(text) <= width:
        return text
    while text and of_font.getlength(text + _ELLIPSIS) > width:
        text = text[:-1]
    return text + _ELLIPSIS


def wrapped(text: str, of_font: ImageFont.FreeTypeFont, width: float, most: int) -> list[str]:
    """Break a text between words into at most ``most`` lines of ``width`` pixels; the last line is cut if needed."""
    lines: list[str] = []
    for word in text.split():
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and (len(lines) == most or of_font.getlength(longer) <= width):
            lines[-1] = longer
        else:
            lines.append(word)
    return [shortened(line, of_font, width) for line in lines]


def percent(share: float) -> str:
    """Format a share from 0 to 1, such as ``94.1%``."""
    return f"{share:.1%}"


def readable_size(size: tuple[int, int], smallest: int, largest: int) -> tuple[int, int]:
    """Return the (width, height) at which to show an image of ``size``, in pixels.

    An image narrower than ``smallest`` is enlarged by a whole factor, so that pixels stay squares. Neither side exceeds
    ``largest``.
    """
    width, height = size
    longest = max(size)
    if longest > largest:
        return max(1, width * largest // longest), max(1, height * largest // longest)
    factor = min(math.ceil(smallest / width), largest // longest)
    return width * factor, height * factor


def tiled(pictures: Sequence[Image.Image], columns: int, gap: tuple[int, int]) -> Image.Image:
    """Arrange pictures of one size in rows, with a ``gap`` between columns and between rows."""
    width, height = (side + between for side, between in zip(pictures[0].size, gap, strict=True))
    columns = min(columns, len(pictures))
    rows = math.ceil(len(pictures) / columns)
    whole = Image.new("RGB", (columns * width - gap[0], rows * height - gap[1]), BACKGROUND)
    for place, picture in enumerate(pictures):
        row, column = divmod(place, columns)
        whole.paste(picture, (column * width, row * height))
    return whole


def resized(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    """Resize an image, with smoothing only if it shrinks."""
    if image.size == size:
        return image
    shrinks = size[0] * size[1] < image.width * image.height
    return image.resize(size, Image.Resampling.LANCZOS if shrinks else Image.Resampling.NEAREST)
