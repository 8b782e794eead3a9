"""Pictures of images with boxes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from cuelight.images.drawing import COLORS, TEXT, font, readable_size, resized
from cuelight.tasks.detection.decode import Detections

Marked = tuple[Sequence[float], str, str]
"""A box, left, top, right and bottom; its color; and its text, which may be empty."""

_MIN_WIDTH, _MAX_SIDE = 320, 1024
_TEXT_SIZE, _PADDING = 12, 2


def draw_detections(image: Image.Image, result: Detections) -> Image.Image:
    """Draw an image with its boxes, each in the color of its class with name and score; the best ones are on top."""
    shown = resized(image.convert("RGB"), readable_size(image.size, _MIN_WIDTH, _MAX_SIDE))
    return draw_boxes(shown, _marked(result), shown.width / image.width)


def draw_boxes(image: Image.Image, boxes: Iterable[Marked], scale: float) -> Image.Image:
    """Return a copy of an RGB image with boxes, whose pixels are multiplied by ``scale``."""
    picture = image.copy()
    draw = ImageDraw.Draw(picture)
    text_font, line = font(_TEXT_SIZE), max(2, round(max(image.size) / 300))
    for box, color, text in boxes:
        left, top, right, bottom = (round(side * scale) for side in box)
        draw.rectangle((left, top, max(left, right - 1), max(top, bottom - 1)), outline=color, width=line)
        if text:
            width, height = text_font.getlength(text) + 2 * _PADDING, _TEXT_SIZE + 2 * _PADDING
            start = max(0, min(left, image.width - round(width)))
            above = top - height if top >= height else top
            draw.rectangle((start, above, start + width, above + height), color)
            draw.text((start + _PADDING, above + height // 2), text, TEXT, text_font, anchor="lm")
    return picture


def color_of(label: int) -> str:
    """Return the color of a class; after 20 classes the colors repeat."""
    return COLORS[label % len(COLORS)]


def _marked(result: Detections) -> list[Marked]:
    found = result.found[np.arange(len(result.found))[::-1]]
    columns: Iterable[NDArray[np.generic]] = (found.boxes, found.scores, found.labels)
    return [
        (box, color_of(label), f"{result.names[label]} {score:.2f}")
        for box, score, label in zip(*(column.tolist() for column in columns), strict=True)
    ]
