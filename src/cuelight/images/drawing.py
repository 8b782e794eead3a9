"""Drawing helpers: fonts, text that fits, readable image sizes, and rows of pictures."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import matplotlib as mpl
from PIL import Image, ImageDraw, ImageFont

BACKGROUND, TEXT, FAINT = "#ffffff", "#1f2933", "#52606d"
_ELLIPSIS = "…"
_GAP, _BETWEEN, _TITLE_HEIGHT, _TITLE_SIZE = 4, 20, 26, 14
_ABREAST = 2

# Each has the largest distance in OKLab from all before it, for normal vision, protanopia and deuteranopia
# (G. M. Machado et al., 2009, "A Physiologically-based Model for Simulation of Color Vision Deficiency").
COLORS = (
    "#ee9900", "#55bbee", "#6600ff", "#bb0055", "#aaffbb", "#7766aa", "#ee7788", "#99ff00", "#997700", "#5588ff",
    "#00eeee", "#9900bb", "#ddcc77", "#dd33dd", "#ffaabb", "#cc77bb", "#ee1177", "#ff4455", "#bb1188", "#bb1111",
)  # fmt: skip
"""Colors of classes that color-blind readers can distinguish."""


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


def panel_grid(panels: Sequence[Sequence[Image.Image]], titles: Sequence[str]) -> Image.Image:
    """Arrange panels of one size under their titles: for each image a block, two blocks in a row."""
    width, height = panels[0][0].size
    block = len(titles) * (width + _GAP) - _GAP
    abreast = min(_ABREAST, len(panels))
    rows = -(-len(panels) // abreast)
    grid = Image.new(
        "RGB", (abreast * (block + _BETWEEN) - _BETWEEN, _TITLE_HEIGHT + rows * (height + _GAP) - _GAP), BACKGROUND
    )
    draw = ImageDraw.Draw(grid)
    for place, of_image in enumerate(panels):
        row, column = divmod(place, abreast)
        for number, (panel, title) in enumerate(zip(of_image, titles, strict=True)):
            left = column * (block + _BETWEEN) + number * (width + _GAP)
            grid.paste(panel, (left, _TITLE_HEIGHT + row * (height + _GAP)))
            if row == 0:
                middle = (left + width // 2, _TITLE_HEIGHT // 2)
                draw.text(middle, title, TEXT, font(_TITLE_SIZE), anchor="mm")
    return grid
