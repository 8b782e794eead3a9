"""Pictures of example images with their true and predicted masks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cuelight.images.drawing import panel_grid, readable_size, resized
from cuelight.tasks.segmentation.decode import UNSEEN, Segmentation
from cuelight.tasks.segmentation.picture import legend_entry, tinted, with_legend

_TITLES = ("image", "truth", "prediction")
_MIN_WIDTH, _MAX_SIDE = 176, 256


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
    return with_legend(panel_grid(panels, _TITLES), entries)
