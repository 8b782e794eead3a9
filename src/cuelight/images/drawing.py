"""What the pictures of all rooms share: fonts, text that fits, and sizes that can be looked at."""

from __future__ import annotations

import math
from functools import cache
from pathlib import Path

import matplotlib as mpl
from PIL import Image, ImageFont

BACKGROUND, TEXT, FAINT = "#ffffff", "#1f2933", "#52606d"
_ELLIPSIS = "…"


@cache
def font(size: int, bold: bool = False) -> ImageFont.FreeTypeFont:
    """Load a font of matplotlib, which has more alphabets than the one of Pillow.

    Args:
        size: Its height in pixels.
        bold: Whether it is bold.

    Returns:
        The font.
    """
    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    return ImageFont.truetype(str(Path(mpl.get_data_path(), "fonts", "ttf", name)), size)


def shortened(text: str, of_font: ImageFont.FreeTypeFont, width: float) -> str:
    """Make a text fit on a line.

    Args:
        text: The text; line breaks become spaces.
        of_font: What it is written in.
        width: The room for it in pixels.

    Returns:
        The text, with an ellipsis in place of what does not fit.
    """
    text = " ".join(text.split())
    if of_font.getlength(text) <= width:
        return text
    while text and of_font.getlength(text + _ELLIPSIS) > width:
        text = text[:-1]
    return text + _ELLIPSIS


def wrapped(text: str, of_font: ImageFont.FreeTypeFont, width: float, most: int) -> list[str]:
    """Break a text between words, so that it fits on some lines.

    Args:
        text: The text.
        of_font: What it is written in.
        width: The room for a line in pixels.
        most: The number of lines that there may be; what is left over is cut off the last one.

    Returns:
        The lines; none of an empty text.
    """
    lines: list[str] = []
    for word in text.split():
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and (len(lines) == most or of_font.getlength(longer) <= width):
            lines[-1] = longer
        else:
            lines.append(word)
    return [shortened(line, of_font, width) for line in lines]


def percent(share: float) -> str:
    """Write a share.

    Args:
        share: 0 to 1.

    Returns:
        Text.

    Examples:
        >>> percent(0.941)
        '94.1%'
    """
    return f"{share:.1%}"


def readable_size(size: tuple[int, int], smallest: int, largest: int) -> tuple[int, int]:
    """Choose the size at which an image can be looked at.

    Args:
        size: Its width and height in pixels.
        smallest: The width below which it is enlarged, by a whole number so that pixels stay squares.
        largest: What neither side shall exceed.

    Returns:
        Width and height.

    Examples:
        >>> readable_size((28, 28), 224, 1024)
        (224, 224)
        >>> readable_size((4000, 3000), 224, 1024)
        (1024, 768)
    """
    width, height = size
    longest = max(size)
    if longest > largest:
        return max(1, width * largest // longest), max(1, height * largest // longest)
    factor = min(math.ceil(smallest / width), largest // longest)
    return width * factor, height * factor


def resized(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    """Bring an image to a size: smoothly if it shrinks, without smoothing if it grows."""
    if image.size == size:
        return image
    shrinks = size[0] * size[1] < image.width * image.height
    return image.resize(size, Image.Resampling.LANCZOS if shrinks else Image.Resampling.NEAREST)
