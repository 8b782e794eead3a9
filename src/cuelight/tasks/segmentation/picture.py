"""An image beside the classes that a model sees in its pixels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from cuelight.images.drawing import BACKGROUND, FAINT, TEXT, font, percent, readable_size, resized, shortened
from cuelight.tasks.segmentation.class_colors import class_colors, is_background
from cuelight.tasks.segmentation.decode import UNSEEN, Segmentation

_MIN_WIDTH, _MAX_SIDE = 256, 768
_GAP, _MARGIN = 8, 12
_TEXT_SIZE, _ROW_HEIGHT, _SWATCH = 14, 24, 14
_TINT = 0.6
_MOST_IN_LEGEND = 30


class LegendEntry(NamedTuple):
    """What a colour stands for.

    Args:
        color: Red, green and blue; ``None`` for what is left as it is.
        text: The words.
    """

    color: tuple[int, int, int] | None
    text: str


def draw_segmentation(image: Image.Image, result: Segmentation) -> Image.Image:
    """Draw an image beside the same with its classes in colour, above a legend."""
    size = readable_size(image.size, _MIN_WIDTH, _MAX_SIDE)
    shown = resized(image.convert("RGB"), size)
    panels = [shown, tinted(shown, result.mask, result.names)]
    return with_legend(_side_by_side(panels), _legend(result))


def mask_image(result: Segmentation) -> Image.Image:
    """Make an image of a mask that other programs read as one.

    Args:
        result: The classes of an image.

    Returns:
        A palette image ``P``, whose values are the indices of the classes; 255 is what the model did not see.
    """
    image = Image.fromarray(result.mask)
    image.putpalette(class_colors(result.names).tobytes())
    return image


def tinted(image: Image.Image, mask: NDArray[np.uint8], names: Sequence[str]) -> Image.Image:
    """Lay the colours of the classes over an image, with their outlines; the background stays as it is.

    Below them the image is grey, so that its own colours do not change them.

    Args:
        image: The image, RGB.
        mask: The class of each pixel, uint8 ``(H, W)``, at the size of the image or another; pixels of 255 are faded.
        names: The name of each class.

    Returns:
        A new image of the same size.
    """
    shown = np.asarray(Image.fromarray(mask).resize(image.size, Image.Resampling.NEAREST))
    strength = np.full(256, _TINT, np.float32)
    strength[[index for index, name in enumerate(names) if is_background(name)]] = 0
    alpha = np.where(_outlines(shown) & (strength[shown] > 0), 1, strength[shown])[..., None]
    below = np.where(alpha > 0, np.asarray(image.convert("L"), np.float32)[..., None], np.asarray(image, np.float32))
    mixed = below * (1 - alpha) + class_colors(names)[shown] * alpha
    return Image.fromarray(mixed.round().astype(np.uint8))


def legend_text(name: str, share: float) -> str:
    """Say how much of an image a class has.

    Args:
        name: The name of the class.
        share: 0 to 1.

    Returns:
        The words.
    """
    return f"{name}: {percent(share) if share >= 0.0005 else '<0.1%'}"  # noqa: PLR2004


def legend_entry(index: int, names: Sequence[str], text: str) -> LegendEntry:
    """Explain the colour of a class."""
    if is_background(names[index]):
        return LegendEntry(None, text)
    red, green, blue = class_colors(names)[index].tolist()
    return LegendEntry((red, green, blue), text)


def with_legend(picture: Image.Image, entries: Sequence[LegendEntry]) -> Image.Image:
    """Put a legend below a picture.

    Args:
        picture: The picture.
        entries: What the colours stand for, in order; they go on as many lines as they need.

    Returns:
        A new picture.
    """
    lines = _lines(entries[:_MOST_IN_LEGEND], picture.width - 2 * _MARGIN)
    left_out = len(entries) - _MOST_IN_LEGEND
    if left_out > 0:
        lines.append([(LegendEntry(None, f"and {left_out} more classes"), _MARGIN)])
    whole = Image.new("RGB", (picture.width, picture.height + 2 * _MARGIN + _ROW_HEIGHT * len(lines)), BACKGROUND)
    whole.paste(picture, (0, 0))
    draw = ImageDraw.Draw(whole)
    for row, line in enumerate(lines):
        middle = picture.height + _MARGIN + row * _ROW_HEIGHT + _ROW_HEIGHT // 2
        for entry, left in line:
            _draw_entry(draw, entry, left, middle, picture.width - _MARGIN)
    return whole


def _legend(result: Segmentation) -> list[LegendEntry]:
    entries = [legend_entry(area.index, result.names, legend_text(area.name, area.share)) for area in result.areas]
    if (result.mask == UNSEEN).any():
        red, green, blue = class_colors(result.names)[UNSEEN].tolist()
        entries.append(LegendEntry((red, green, blue), "not seen by the model"))
    return entries


def _side_by_side(panels: Sequence[Image.Image]) -> Image.Image:
    width, height = panels[0].size
    row = Image.new("RGB", (len(panels) * (width + _GAP) - _GAP, height), BACKGROUND)
    for place, panel in enumerate(panels):
        row.paste(panel, (place * (width + _GAP), 0))
    return row


def _outlines(mask: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """The pixels whose right or lower neighbour has another class."""
    outlines = np.zeros(mask.shape, bool)
    outlines[:-1] |= mask[:-1] != mask[1:]
    outlines[1:] |= mask[:-1] != mask[1:]
    outlines[:, :-1] |= mask[:, :-1] != mask[:, 1:]
    outlines[:, 1:] |= mask[:, :-1] != mask[:, 1:]
    return outlines


def _lines(entries: Sequence[LegendEntry], width: int) -> list[list[tuple[LegendEntry, int]]]:
    """The entries line by line, each with its left edge."""
    lines: list[list[tuple[LegendEntry, int]]] = []
    left = width + 1
    for entry in entries:
        needed = _SWATCH + 6 + round(font(_TEXT_SIZE).getlength(entry.text)) + 18
        if left + needed - 18 > width + _MARGIN and (not lines or lines[-1]):
            lines.append([])
            left = _MARGIN
        lines[-1].append((entry, left))
        left += needed
    return lines


def _draw_entry(draw: ImageDraw.ImageDraw, entry: LegendEntry, left: int, middle: int, right: int) -> None:
    box = (left, middle - _SWATCH // 2, left + _SWATCH, middle + _SWATCH // 2)
    draw.rectangle(box, entry.color, FAINT)
    text = left + _SWATCH + 6
    draw.text(
        (text, middle), shortened(entry.text, font(_TEXT_SIZE), right - text), TEXT, font(_TEXT_SIZE), anchor="lm"
    )
