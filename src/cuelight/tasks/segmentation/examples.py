"""Pictures of example images with their true and predicted masks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from cuelight.images.drawing import BACKGROUND, TEXT, font, readable_size, resized, tiled
from cuelight.tasks.segmentation.decode import UNSEEN, Segmentation
from cuelight.tasks.segmentation.picture import legend_entry, tinted, with_legend

_TITLES = ("image", "truth", "prediction")
_MIN_WIDTH, _MAX_SIDE = 176, 256
_GAP, _BETWEEN, _TITLE_HEIGHT, _TITLE_SIZE = 4, 20, 26, 14
_ABREAST = 2


def draw_segmentation_examples(
    images: Sequence[Image.Image],
    targets: Sequence[NDArray[np.int64]],
    results: Sequence[Segmentation],
    class_names: Sequence[str] | None = None,  # noqa: ARG001 - the results have them
) -> Image.Image:
    """Draw input images, true masks ``(H, W)`` and predicted masks side by side, above a legend.

    All are of one size, with two images in a row. Values in ``targets`` that are no class have no label.
    """
    names = results[0].names
    size = readable_size(images[0].size, _MIN_WIDTH, _MAX_SIDE)
    shown = [resized(image.convert("RGB"), size) for image in images]
    masks = np.stack(targets)
    truths = np.where((masks >= 0) & (masks < len(names)), masks, UNSEEN).astype(np.uint8)
    panels = [
        [image, tinted(image, truth, names), tinted(image, result.mask, names)]
        for image, truth, result in zip(shown, truths, results, strict=True)
    ]
    present = np.unique([truths, np.stack([result.mask for result in results])]).tolist()
    entries = [legend_entry(index, names, names[index]) for index in present if index != UNSEEN]
    if UNSEEN in present:
        entries.append(legend_entry(UNSEEN, names, "without a label"))
    return with_legend(_grid(panels), entries)


def _grid(panels: Sequence[Sequence[Image.Image]]) -> Image.Image:
    """Arrange the panels of the images under their titles."""
    width = panels[0][0].width
    rows = tiled([tiled(of_image, len(_TITLES), (_GAP, 0)) for of_image in panels], _ABREAST, (_BETWEEN, _GAP))
    grid = Image.new("RGB", (rows.width, _TITLE_HEIGHT + rows.height), BACKGROUND)
    grid.paste(rows, (0, _TITLE_HEIGHT))
    draw = ImageDraw.Draw(grid)
    block = len(_TITLES) * (width + _GAP) - _GAP + _BETWEEN
    for number in range(min(_ABREAST, len(panels)) * len(_TITLES)):
        column, title = divmod(number, len(_TITLES))
        middle = column * block + title * (width + _GAP) + width // 2
        draw.text((middle, _TITLE_HEIGHT // 2), _TITLES[title], TEXT, font(_TITLE_SIZE), anchor="mm")
    return grid
