"""Pictures of the most confident mistakes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from cuelight.images.drawing import (
    BACKGROUND,
    FAINT,
    TEXT,
    font,
    percent,
    readable_size,
    resized,
    shortened,
    tiled,
)
from cuelight.tasks.classification.decode import Classification

if TYPE_CHECKING:  # it imports torch
    from cuelight.data.spec import DataSpec

_TITLE = "The most confident mistakes"
_MIN_WIDTH, _MAX_SIDE = 144, 192
_COLUMNS, _GAP = 6, 12
_TITLE_HEIGHT, _TITLE_SIZE = 34, 16
_LINE_HEIGHT, _TEXT_SIZE = 19, 13


def rank_mistake(target: NDArray[Any], result: Classification) -> float | None:
    """Return the score of the predicted class if it is wrong, else ``None``; soft labels mean their largest."""
    is_mistake = len(result.top) > 1 and result.top[0].index != _label(target)
    return result.top[0].score if is_mistake else None


def draw_mistakes(
    images: Sequence[Image.Image],
    targets: Sequence[NDArray[Any]],
    results: Sequence[Classification],
    class_names: Sequence[str] | None = None,
) -> Image.Image:
    """Draw wrongly classified images, each above its predicted class with the score, and its true class."""
    names = [*(class_names or ())]
    captions = []
    for target, result in zip(targets, results, strict=True):
        label, best = _label(target), result.top[0]
        true = names[label] if label < len(names) else str(label)
        captions.append([(best.name, percent(best.score)), (f"true: {true}", "")])
    return draw_captioned(_TITLE, images, captions)


def draw_captioned(
    title: str, images: Sequence[Image.Image], captions: Sequence[Sequence[tuple[str, str]]]
) -> Image.Image:
    """Draw images of one size above as many lines each, of a text and a number; the first line is bold."""
    rows = captioned_tiles(images, captions)
    bold = font(_TITLE_SIZE, bold=True)
    width = max(rows.width, math.ceil(bold.getlength(title))) + 2 * _GAP
    picture = Image.new("RGB", (width, _TITLE_HEIGHT + rows.height + _GAP), BACKGROUND)
    picture.paste(rows, (_GAP, _TITLE_HEIGHT))
    ImageDraw.Draw(picture).text((_GAP, _TITLE_HEIGHT // 2), title, TEXT, bold, anchor="lm")
    return picture


def captioned_tiles(images: Sequence[Image.Image], captions: Sequence[Sequence[tuple[str, str]]]) -> Image.Image:
    """Draw the same without a title."""
    size = readable_size(images[0].size, _MIN_WIDTH, _MAX_SIDE)
    tiles = []
    for image, lines in zip(images, captions, strict=True):
        tile = Image.new("RGB", (max(size[0], _MIN_WIDTH), size[1] + len(lines) * _LINE_HEIGHT), BACKGROUND)
        tile.paste(resized(image.convert("RGB"), size), ((tile.width - size[0]) // 2, 0))
        for number, (text, value) in enumerate(lines):
            _draw_line(tile, text, value, size[1] + number * _LINE_HEIGHT, bold=not number)
        tiles.append(tile)
    return tiled(tiles, _COLUMNS, (_GAP, _GAP))


def draw_true_labels(images: Sequence[Image.Image], targets: Sequence[NDArray[Any]], data: DataSpec) -> Image.Image:
    """Draw training images, each above its class; a mixed one has a share of several."""
    names = [*(data.class_names or ())]
    shares = [dict(enumerate(target.tolist())) if target.ndim else {int(target): 1.0} for target in targets]
    captions = [
        ", ".join(
            (names[label] if label < len(names) else str(label)) + (f" {share:.0%}" if share < 1 else "")
            for label, share in sorted(of_image.items(), key=lambda item: -item[1])
            if share > 0
        )
        for of_image in shares
    ]
    return captioned_tiles(images, [[(caption, "")] for caption in captions])


def _draw_line(tile: Image.Image, left: str, right: str, top: int, bold: bool = False) -> None:
    draw, text, middle = ImageDraw.Draw(tile), font(_TEXT_SIZE, bold), top + _LINE_HEIGHT // 2
    room = tile.width - text.getlength(f" {right}")
    draw.text((0, middle), shortened(left, text, room), TEXT if bold else FAINT, text, anchor="lm")
    draw.text((tile.width, middle), right, TEXT, text, anchor="rm")


def _label(target: NDArray[Any]) -> int:
    return int(np.argmax(target)) if target.ndim else int(target)
