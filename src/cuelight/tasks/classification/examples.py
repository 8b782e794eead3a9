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
    size = readable_size(images[0].size, _MIN_WIDTH, _MAX_SIDE)
    names = [*(class_names or ())]
    tiles = []
    for image, target, result in zip(images, targets, results, strict=True):
        label, best = _label(target), result.top[0]
        true = names[label] if label < len(names) else str(label)
        tile = Image.new("RGB", (max(size[0], _MIN_WIDTH), size[1] + 2 * _LINE_HEIGHT), BACKGROUND)
        tile.paste(resized(image.convert("RGB"), size), ((tile.width - size[0]) // 2, 0))
        score = percent(best.score)
        _draw_line(tile, best.name, score, size[1], bold=True)
        _draw_line(tile, f"true: {true}", "", size[1] + _LINE_HEIGHT)
        tiles.append(tile)
    rows = tiled(tiles, _COLUMNS, (_GAP, _GAP))
    title = font(_TITLE_SIZE, bold=True)
    width = max(rows.width, math.ceil(title.getlength(_TITLE))) + 2 * _GAP
    picture = Image.new("RGB", (width, _TITLE_HEIGHT + rows.height + _GAP), BACKGROUND)
    picture.paste(rows, (_GAP, _TITLE_HEIGHT))
    ImageDraw.Draw(picture).text((_GAP, _TITLE_HEIGHT // 2), _TITLE, TEXT, title, anchor="lm")
    return picture


def draw_labels(images: Sequence[Image.Image], targets: Sequence[NDArray[Any]], data: DataSpec) -> Image.Image:
    """Draw training images, each above its class."""
    size, names = readable_size(images[0].size, _MIN_WIDTH, _MAX_SIDE), [*(data.class_names or ())]
    tiles = []
    for image, target in zip(images, targets, strict=True):
        label = _label(target)
        tile = Image.new("RGB", (max(size[0], _MIN_WIDTH), size[1] + _LINE_HEIGHT), BACKGROUND)
        tile.paste(resized(image.convert("RGB"), size), ((tile.width - size[0]) // 2, 0))
        _draw_line(tile, names[label] if label < len(names) else str(label), "", size[1], bold=True)
        tiles.append(tile)
    return tiled(tiles, _COLUMNS, (_GAP, _GAP))


def _draw_line(tile: Image.Image, left: str, right: str, top: int, bold: bool = False) -> None:
    draw, text, middle = ImageDraw.Draw(tile), font(_TEXT_SIZE, bold), top + _LINE_HEIGHT // 2
    room = tile.width - text.getlength(f" {right}")
    draw.text((0, middle), shortened(left, text, room), TEXT if bold else FAINT, text, anchor="lm")
    draw.text((tile.width, middle), right, TEXT, text, anchor="rm")


def _label(target: NDArray[Any]) -> int:
    return int(np.argmax(target)) if target.ndim else int(target)
