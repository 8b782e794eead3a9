"""Pictures of explanations: input, heat map and overlay side by side, alone or in a grid."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from cuelight.explain.overlay import colors, enlarge, gray_of, is_constant, paint
from cuelight.images.drawing import BACKGROUND, FAINT, TEXT, font, readable_size, resized, shortened, wrapped

MOST_IN_GRID = 12

_SINGLE, _IN_GRID = (224, 512), (144, 192)  # minimum width and maximum side of a tile, in pixels
_MARGIN, _GAP, _BETWEEN, _BELOW = 14, 6, 22, 8
_MIN_SLOT = 150  # for the text in a tile
_TITLE_SIZE, _NAME_SIZE, _TEXT_SIZE = 16, 15, 12
_TITLE_LINE, _BELOW_TITLE, _ABOVE_FOOT, _FOOT_LINE = 20, 10, 4, 16
_HEAD_HEIGHT, _NAME_HEIGHT, _NOTE_HEIGHT, _SCALE_HEIGHT = 20, 22, 17, 20
_MOST_LINES = 2
_BAR_HEIGHT = 8
_HEADS = ("input", "heat map", "overlay")
_RIGHT, _WRONG = "#0072b2", "#d55e00"  # Okabe and Ito (2008), safe for color-blind readers
_EMPTY = "#e5e9f0"
_ASPECT = 1.4  # of a grid, close to that of screens
_SCALE_NOTES = (
    "The scale of the heat map goes from no influence (0) to the largest in this image.",
    "Each heat map has its own scale, from no influence (0) to the largest in that image.",
)


@dataclass(frozen=True)
class ExplainedImage:
    """An image with its heat map and caption: class, score, a note such as the label, and whether it is right."""

    image: NDArray[np.uint8]  # RGB (H, W, 3)
    heat: NDArray[np.float32]  # (h, w), at least 0
    name: str
    score: str = ""
    note: str = ""
    right: bool | None = None  # None if unknown


@dataclass(frozen=True)
class _Layout:
    """Layout of a cell in pixels: ``tile`` is the size of an image, ``slot`` the width of each of its three columns."""

    tile: tuple[int, int]
    slot: int
    note: bool

    @property
    def width(self) -> int:
        return 3 * self.slot + 2 * _GAP

    @property
    def above(self) -> int:
        return _NAME_HEIGHT + (_NOTE_HEIGHT if self.note else 0)

    @property
    def height(self) -> int:
        return self.above + self.tile[1] + _SCALE_HEIGHT + _BELOW

    def slots(self) -> list[int]:
        return [number * (self.slot + _GAP) for number in range(3)]


def draw_explanation(explained: ExplainedImage, title: str = "") -> Image.Image:
    """Draw one image with its heat map. A small image is enlarged without smoothing, its heat map smoothly."""
    return _draw([explained], title, 0, _SINGLE)


def draw_grid(images: Sequence[ExplainedImage], title: str = "", left_out: int = 0) -> Image.Image:
    """Draw the first 12 of one or more images, all of one size, with their heat maps.

    ``left_out`` is the number of images of the batch that are not in ``images``. The picture says how many are missing.
    """
    return _draw(images[:MOST_IN_GRID], title, left_out + max(0, len(images) - MOST_IN_GRID), _IN_GRID)


def _draw(images: Sequence[ExplainedImage], title: str, left_out: int, sides: tuple[int, int]) -> Image.Image:
    tile = readable_size((images[0].image.shape[1], images[0].image.shape[0]), *sides)
    layout = _Layout(tile, max(tile[0], _MIN_SLOT), any(explained.note for explained in images))
    columns = _columns(len(images), layout)
    rows = math.ceil(len(images) / columns)
    width = 2 * _MARGIN + columns * layout.width + (columns - 1) * _BETWEEN
    of_title, of_foot = font(_TITLE_SIZE, bold=True), font(_TEXT_SIZE)
    titles = wrapped(title, of_title, width - 2 * _MARGIN, _MOST_LINES)
    foot = _SCALE_NOTES[len(images) > 1]
    if left_out:
        foot = f"{left_out} more {'image is' if left_out == 1 else 'images are'} not shown. {foot}"
    feet = wrapped(foot, of_foot, width - 2 * _MARGIN, _MOST_LINES)
    top = _MARGIN + (len(titles) * _TITLE_LINE + _BELOW_TITLE if titles else 0)
    below = top + _HEAD_HEIGHT + rows * layout.height + _ABOVE_FOOT
    height = below + len(feet) * _FOOT_LINE + _MARGIN
    picture = Image.new("RGB", (width, height), BACKGROUND)
    draw = ImageDraw.Draw(picture)
    for line, text in enumerate(titles):
        draw.text((_MARGIN, _MARGIN + line * _TITLE_LINE), text, TEXT, of_title, anchor="la")
    for column in range(columns):
        for slot, head in zip(layout.slots(), _HEADS, strict=True):
            middle = _MARGIN + column * (layout.width + _BETWEEN) + slot + layout.slot // 2
            draw.text((middle, top), head, FAINT, of_foot, anchor="ma")
    for number, explained in enumerate(images):
        row, column = divmod(number, columns)
        corner = _MARGIN + column * (layout.width + _BETWEEN), top + _HEAD_HEIGHT + row * layout.height
        _draw_cell(picture, draw, layout, explained, corner)
    for line, text in enumerate(feet):
        draw.text((_MARGIN, below + line * _FOOT_LINE), text, FAINT, of_foot, anchor="la")
    return picture


def _columns(count: int, layout: _Layout) -> int:
    """Choose the number of columns that gives the best aspect ratio."""

    def distance(columns: int) -> float:
        rows = math.ceil(count / columns)
        return abs(math.log(columns * layout.width / (rows * layout.height) / _ASPECT))

    return min(range(1, count + 1), key=distance)


def _draw_cell(
    picture: Image.Image, draw: ImageDraw.ImageDraw, layout: _Layout, explained: ExplainedImage, corner: tuple[int, int]
) -> None:
    left, top = corner
    _draw_caption(draw, layout, explained, left, top)
    image = resized(Image.fromarray(explained.image), layout.tile)
    pixels, nothing = np.asarray(image), _why_nothing(explained.heat)
    if nothing:
        heat = Image.new("RGB", layout.tile, _EMPTY)
        overlay = Image.fromarray(gray_of(pixels).astype(np.uint8)).convert("RGB")
    else:
        heat, overlay = map(Image.fromarray, paint(enlarge(explained.heat, layout.tile), pixels))
    inset = (layout.slot - layout.tile[0]) // 2
    for slot, tile in zip(layout.slots(), (image, heat, overlay), strict=True):
        picture.paste(tile, (left + slot + inset, top + layout.above))
    middle = left + layout.slots()[1] + layout.slot // 2
    if nothing:
        center = middle, top + layout.above + layout.tile[1] // 2
        draw.multiline_text(center, nothing, TEXT, font(_TEXT_SIZE), anchor="mm", align="center")
    else:
        _draw_scale(picture, draw, layout, float(explained.heat.max()), corner)


def _draw_caption(draw: ImageDraw.ImageDraw, layout: _Layout, explained: ExplainedImage, left: int, top: int) -> None:
    name, text = font(_NAME_SIZE, bold=True), font(_NAME_SIZE)
    right = left + layout.width
    if explained.right is not None:
        mark, color = ("✓ right", _RIGHT) if explained.right else ("✗ wrong", _WRONG)
        draw.text((right, top), mark, color, name, anchor="ra")
        right -= round(name.getlength(mark)) + _GAP
    score_width = text.getlength(explained.score) + _GAP if explained.score else 0
    shown = shortened(explained.name, name, right - left - score_width)
    draw.text((left, top), shown, TEXT, name, anchor="la")
    draw.text((left + name.getlength(shown) + _GAP, top), explained.score, TEXT, text, anchor="la")
    small = font(_TEXT_SIZE)
    draw.text((left, top + _NAME_HEIGHT), shortened(explained.note, small, layout.width), FAINT, small, anchor="la")


def _draw_scale(
    picture: Image.Image, draw: ImageDraw.ImageDraw, layout: _Layout, largest: float, corner: tuple[int, int]
) -> None:
    """Draw the color scale below the heat map."""
    small, end = font(_TEXT_SIZE), f"{largest:.3g}"
    left = corner[0] + layout.slots()[1]
    middle = corner[1] + layout.above + layout.tile[1] + _SCALE_HEIGHT // 2 - 2
    draw.text((left, middle), "0", TEXT, small, anchor="lm")
    draw.text((left + layout.slot, middle), end, TEXT, small, anchor="rm")
    start, stop = left + round(small.getlength("0")) + _GAP, left + layout.slot - round(small.getlength(end)) - _GAP
    bar = Image.fromarray(colors()[None]).resize((stop - start, _BAR_HEIGHT), Image.Resampling.BILINEAR)
    picture.paste(bar, (start, middle - _BAR_HEIGHT // 2))


def _why_nothing(heat: NDArray[np.float32]) -> str:
    if not np.isfinite(heat).all():
        return "no map: contains\nNaN or infinity"
    return f"no influence:\nthe map is constant ({heat.flat[0]:.3g})" if is_constant(heat) else ""
