"""Pictures of an image with its predicted classes."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image, ImageDraw

from cuelight.images.drawing import BACKGROUND, TEXT, font, percent, readable_size, resized, shortened
from cuelight.tasks.classification.decode import Classification, ClassScore

_MIN_WIDTH = 320
_MAX_SIDE = 1024
_MARGIN = 12
_TITLE_SIZE, _TEXT_SIZE = 22, 14
_TITLE_HEIGHT, _ROW_HEIGHT, _BAR_HEIGHT = 36, 24, 12
_NAME_SHARE = 0.42  # of the width, for the names beside the bars
_SCORE_WIDTH = 66
_BAR, _OTHER_BAR, _TRACK = "#2563eb", "#94a3b8", "#e5e9f0"


def draw_classification(image: Image.Image, result: Classification) -> Image.Image:
    """Draw an image above a bar for each of its likeliest classes, at least 320 pixels wide.

    A small image is enlarged without smoothing.
    """
    best = result.top[0]
    return draw_scores(image, best.name, percent(best.score), result.top)


def draw_scores(
    image: Image.Image, title: str, note: str, scores: Sequence[ClassScore], chosen: int = 1
) -> Image.Image:
    """Draw an image above a title, with a note beside it, and a bar for each score, the first ``chosen`` in color."""
    shown = resized(image.convert("RGB"), readable_size(image.size, _MIN_WIDTH, _MAX_SIDE))
    width = max(_MIN_WIDTH, shown.width)
    band = _MARGIN + _TITLE_HEIGHT + _ROW_HEIGHT * len(scores) + _MARGIN
    picture = Image.new("RGB", (width, shown.height + band), BACKGROUND)
    picture.paste(shown, ((width - shown.width) // 2, 0))
    draw = ImageDraw.Draw(picture)
    top = shown.height + _MARGIN
    _draw_title(draw, title, note, top, width)
    for rank, entry in enumerate(scores):
        color = _BAR if rank < chosen else _OTHER_BAR
        _draw_bar(draw, entry, top + _TITLE_HEIGHT + rank * _ROW_HEIGHT, width, color)
    return picture


def _draw_title(draw: ImageDraw.ImageDraw, title: str, note: str, top: int, width: int) -> None:
    bold = font(_TITLE_SIZE, bold=True)
    name = shortened(title, bold, width - 3 * _MARGIN - draw.textlength(note, font=bold))
    middle = top + _TITLE_HEIGHT // 2 - _MARGIN // 2
    draw.text((_MARGIN, middle), name, TEXT, bold, anchor="lm")
    draw.text((width - _MARGIN, middle), note, _BAR, bold, anchor="rm")


def _draw_bar(draw: ImageDraw.ImageDraw, entry: ClassScore, top: int, width: int, color: str) -> None:
    text, middle = font(_TEXT_SIZE), top + _ROW_HEIGHT // 2
    left, right = int(width * _NAME_SHARE), width - _MARGIN - _SCORE_WIDTH
    draw.text((_MARGIN, middle), shortened(entry.name, text, left - 2 * _MARGIN), TEXT, text, anchor="lm")
    upper, lower = middle - _BAR_HEIGHT // 2, middle + _BAR_HEIGHT // 2
    draw.rectangle((left, upper, right, lower), _TRACK)
    if entry.score > 0:
        draw.rectangle((left, upper, left + round((right - left) * entry.score), lower), color)
    draw.text((width - _MARGIN, middle), percent(entry.score), TEXT, text, anchor="rm")
