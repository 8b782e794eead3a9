"""An image with the classes that a model sees in it."""

from __future__ import annotations

import math
from functools import cache
from pathlib import Path

import matplotlib as mpl
from PIL import Image, ImageDraw, ImageFont

from cuelight.deploy.classification import Classification, ClassScore

_MIN_WIDTH = 320
_MAX_SIDE = 1024
_MARGIN = 12
_TITLE_SIZE, _TEXT_SIZE = 22, 14
_TITLE_HEIGHT, _ROW_HEIGHT, _BAR_HEIGHT = 36, 24, 12
_NAME_SHARE = 0.42  # of the width, for the names beside the bars
_SCORE_WIDTH = 66
_BACKGROUND, _TEXT, _BAR, _OTHER_BAR, _TRACK = "#ffffff", "#1f2933", "#2563eb", "#94a3b8", "#e5e9f0"
_ELLIPSIS = "…"


def draw_classification(image: Image.Image, result: Classification) -> Image.Image:
    """Draw an image above the classes that a model sees in it.

    Args:
        image: The image.
        result: The classes; each gets a bar.

    Returns:
        An RGB picture of at least 320 pixels in width; a small image is enlarged without smoothing.
    """
    shown = _readable(image.convert("RGB"))
    width = max(_MIN_WIDTH, shown.width)
    band = _MARGIN + _TITLE_HEIGHT + _ROW_HEIGHT * len(result.top) + _MARGIN
    picture = Image.new("RGB", (width, shown.height + band), _BACKGROUND)
    picture.paste(shown, ((width - shown.width) // 2, 0))
    draw = ImageDraw.Draw(picture)
    top = shown.height + _MARGIN
    _draw_title(draw, result.top[0], top, width)
    for rank, entry in enumerate(result.top):
        _draw_bar(draw, entry, top + _TITLE_HEIGHT + rank * _ROW_HEIGHT, width, _OTHER_BAR if rank else _BAR)
    return picture


def _readable(image: Image.Image) -> Image.Image:
    """The image at a size that can be looked at."""
    longest = max(image.size)
    if longest > _MAX_SIDE:
        size = (max(1, image.width * _MAX_SIDE // longest), max(1, image.height * _MAX_SIDE // longest))
        return image.resize(size, Image.Resampling.LANCZOS)
    factor = min(math.ceil(_MIN_WIDTH / image.width), _MAX_SIDE // longest)
    return image.resize((image.width * factor, image.height * factor), Image.Resampling.NEAREST)


def _draw_title(draw: ImageDraw.ImageDraw, best: ClassScore, top: int, width: int) -> None:
    font, score = _font(_TITLE_SIZE, bold=True), _percent(best.score)
    score_width = draw.textlength(score, font=font)
    name = _shortened(best.name, font, width - 3 * _MARGIN - score_width)
    middle = top + _TITLE_HEIGHT // 2 - _MARGIN // 2
    draw.text((_MARGIN, middle), name, _TEXT, font, anchor="lm")
    draw.text((width - _MARGIN, middle), score, _BAR, font, anchor="rm")


def _draw_bar(draw: ImageDraw.ImageDraw, entry: ClassScore, top: int, width: int, color: str) -> None:
    font, middle = _font(_TEXT_SIZE), top + _ROW_HEIGHT // 2
    left, right = int(width * _NAME_SHARE), width - _MARGIN - _SCORE_WIDTH
    draw.text((_MARGIN, middle), _shortened(entry.name, font, left - 2 * _MARGIN), _TEXT, font, anchor="lm")
    upper, lower = middle - _BAR_HEIGHT // 2, middle + _BAR_HEIGHT // 2
    draw.rectangle((left, upper, right, lower), _TRACK)
    if entry.score > 0:
        draw.rectangle((left, upper, left + round((right - left) * entry.score), lower), color)
    draw.text((width - _MARGIN, middle), _percent(entry.score), _TEXT, font, anchor="rm")


def _shortened(name: str, font: ImageFont.FreeTypeFont, width: float) -> str:
    name = " ".join(name.split())
    if font.getlength(name) <= width:
        return name
    while name and font.getlength(name + _ELLIPSIS) > width:
        name = name[:-1]
    return name + _ELLIPSIS


def _percent(score: float) -> str:
    return f"{score:.1%}"


@cache
def _font(size: int, bold: bool = False) -> ImageFont.FreeTypeFont:
    """A font of matplotlib, which has more alphabets than the one of Pillow."""
    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    return ImageFont.truetype(str(Path(mpl.get_data_path(), "fonts", "ttf", name)), size)
