"""Pictures of an image with its predicted mask."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from cuelight.images.drawing import BACKGROUND, FAINT, TEXT, font, percent, readable_size, resized, shortened, tiled
from cuelight.tasks.segmentation.class_colors import class_colors, is_background
from cuelight.tasks.segmentation.decode import UNSEEN, Segmentation

_MIN_WIDTH, _MAX_SIDE = 256, 768
_GAP, _MARGIN = 8, 12
_TEXT_SIZE, _ROW_HEIGHT, _SWATCH = 14, 24, 14
_TINT = 0.6
_MOST_IN_LEGEND = 30


class LegendEntry(NamedTuple):
    """A color with its text; ``None`` for pixels that are not colored."""

    color: tuple[int, int, int] | None
    text: str


def draw_segmentation(image: Image.Image, result: Segmentation) -> Image.Image:
    """Draw an image, and the same with its classes in color, above a legend."""
    size = readable_size(image.size, _MIN_WIDTH, _MAX_SIDE)
    shown = resized(image.convert("RGB"), size)
    panels = [shown, tinted(shown, result.mask, result.names)]
    return with_legend(tiled(panels, len(panels), (_GAP, 0)), _legend(result))


def mask_image(result: Segmentation) -> Image.Image:
    """Return the mask as a palette image (mode ``P``) of class indices; 255 outside the model input."""
    image = Image.fromarray(result.mask)
    image.putpalette(class_colors(result.names).tobytes())
    return image


def tinted(image: Image.Image, mask: NDArray[np.uint8], names: Sequence[str]) -> Image.Image:
    """Draw the classes of a mask, uint8 ``(H, W)`` of any size, over an RGB image, in color and with outlines.

    The background is unchanged, and pixels of 255 are faded. The image is grey below the colors, to keep them exact.
    """
    shown = np.asarray(Image.fromarray(mask).resize(image.size, Image.Resampling.NEAREST))
    strength = np.full(256, _TINT, np.float32)
    strength[[index for index, name in enumerate(names) if is_background(name)]] = 0
    alpha = np.where(_outlines(shown) & (strength[shown] > 0), 1, strength[shown])[..., None]
    below = np.where(alpha > 0, np.asarray(image.convert("L"), np.float32)[..., None], np.asarray(image, np.float32))
    mixed = below * (1 - alpha) + class_colors(names)[shown] * alpha
    return Image.fromarray(mixed.round().astype(np.uint8))


def legend_entry(index: int, names: Sequence[str], text: str) -> LegendEntry:
    """Return the legend entry of a mask value: the index of a class, or 255."""
    if index < len(names) and is_background(names[index]):
        return LegendEntry(None, text)
    red, green, blue = class_colors(names)[index].tolist()
    return LegendEntry((red, green, blue), text)


def with_legend(picture: Image.Image, entries: Sequence[LegendEntry]) -> Image.Image:
    """Return a picture with a legend of as many lines as needed below it."""
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
    entries = [legend_entry(area.index, result.names, _legend_text(area.name, area.share)) for area in result.areas]
    if (result.mask == UNSEEN).any():
        entries.append(legend_entry(UNSEEN, result.names, "not seen by the model"))
    return entries


def _legend_text(name: str, share: float) -> str:
    return f"{name}: {percent(share) if share >= 0.0005 else '<0.1%'}"  # noqa: PLR2004


def _outlines(mask: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Return the pixels with a neighbor of another class."""
    outlines = np.zeros(mask.shape, bool)
    outlines[:-1] |= mask[:-1] != mask[1:]
    outlines[1:] |= mask[:-1] != mask[1:]
    outlines[:, :-1] |= mask[:, :-1] != mask[:, 1:]
    outlines[:, 1:] |= mask[:, :-1] != mask[:, 1:]
    return outlines


def _lines(entries: Sequence[LegendEntry], width: int) -> list[list[tuple[LegendEntry, int]]]:
    """Break the entries into lines, each entry with its left edge."""
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
