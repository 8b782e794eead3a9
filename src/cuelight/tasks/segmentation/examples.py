"""A few images beside their true and their predicted masks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from cuelight.images.drawing import BACKGROUND, TEXT, font, readable_size, resized
from cuelight.tasks.segmentation.class_colors import class_colors
from cuelight.tasks.segmentation.decode import UNSEEN, Segmentation
from cuelight.tasks.segmentation.picture import LegendEntry, legend_entry, tinted, with_legend

_TITLES = ("image", "truth", "prediction")
_MIN_WIDTH, _MAX_SIDE = 176, 256
_GAP, _BETWEEN, _TITLE_HEIGHT, _TITLE_SIZE = 4, 20, 26, 14
_ABREAST = 2


def draw_segmentation_examples(
    images: Sequence[Image.Image], targets: Sequence[NDArray[np.int64]], results: Sequence[Segmentation]
) -> Image.Image:
    """Draw images beside what is true and what a model sees, above a legend.

    Args:
        images: The images as the model sees them, all of one size.
        targets: The true class of each pixel, ``(H, W)`` for each image; pixels of no class are those without a label.
        results: What the model sees, at the same size.

    Returns:
        An RGB picture, two images abreast.
    """
    names = results[0].names
    masks = np.stack(targets)
    truths = np.where((masks >= 0) & (masks < len(names)), masks, UNSEEN).astype(np.uint8)
    panels = [
        [image, tinted(image, truth, names), tinted(image, result.mask, names)]
        for image, truth, result in zip(_shown(images), truths, results, strict=True)
    ]
    present = np.unique([truths, np.stack([result.mask for result in results])]).tolist()
    entries = [legend_entry(index, names, names[index]) for index in present if index != UNSEEN]
    if UNSEEN in present:
        red, green, blue = class_colors(names)[UNSEEN].tolist()
        entries.append(LegendEntry((red, green, blue), "without a label"))
    return with_legend(_grid(panels), entries)


def _shown(images: Sequence[Image.Image]) -> list[Image.Image]:
    size = readable_size(images[0].size, _MIN_WIDTH, _MAX_SIDE)
    return [resized(image.convert("RGB"), size) for image in images]


def _grid(panels: Sequence[Sequence[Image.Image]]) -> Image.Image:
    """The panels of each image beside each other, under their titles."""
    width, height = panels[0][0].size
    block = len(_TITLES) * (width + _GAP) - _GAP
    abreast = min(_ABREAST, len(panels))
    rows = -(-len(panels) // abreast)
    grid = Image.new(
        "RGB", (abreast * (block + _BETWEEN) - _BETWEEN, _TITLE_HEIGHT + rows * (height + _GAP) - _GAP), BACKGROUND
    )
    draw = ImageDraw.Draw(grid)
    for place, of_image in enumerate(panels):
        row, column = divmod(place, abreast)
        for number, (panel, title) in enumerate(zip(of_image, _TITLES, strict=True)):
            left = column * (block + _BETWEEN) + number * (width + _GAP)
            grid.paste(panel, (left, _TITLE_HEIGHT + row * (height + _GAP)))
            if row == 0:
                middle = (left + width // 2, _TITLE_HEIGHT // 2)
                draw.text(middle, title, TEXT, font(_TITLE_SIZE), anchor="mm")
    return grid
