"""Pictures of example images with their true and predicted masks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cuelight.images.drawing import panel_grid, readable_size, resized, tiled
from cuelight.tasks.segmentation.decode import UNSEEN, Segmentation
from cuelight.tasks.segmentation.picture import LegendEntry, legend_entry, tinted, with_legend

if TYPE_CHECKING:  # it imports torch
    from cuelight.data.spec import DataSpec

_TITLES = ("image", "truth", "prediction")
_MIN_WIDTH, _MAX_SIDE = 176, 256
_TILES_IN_A_ROW, _GAP = 4, 8


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
    shown_masks = np.stack([*truths, *(result.mask for result in results)])
    return with_legend(panel_grid(panels, _TITLES), _legend(shown_masks, names))


def draw_true_masks(images: Sequence[Image.Image], targets: Sequence[NDArray[Any]], data: DataSpec) -> Image.Image:
    """Draw training images with their masks in color, above a legend."""
    masks = np.stack(targets).astype(np.uint8)
    names = [*(data.class_names or map(str, range(UNSEEN)))]
    size = readable_size(images[0].size, _MIN_WIDTH, _MAX_SIDE)
    tiles = [
        tinted(resized(image.convert("RGB"), size), mask, names) for image, mask in zip(images, masks, strict=True)
    ]
    return with_legend(tiled(tiles, _TILES_IN_A_ROW, (_GAP, _GAP)), _legend(masks, names))


def _legend(masks: NDArray[np.uint8], names: Sequence[str]) -> list[LegendEntry]:
    present = np.unique(masks).tolist()
    entries = [legend_entry(index, names, names[index]) for index in present if index != UNSEEN]
    return [*entries, legend_entry(UNSEEN, names, "without a label")] if UNSEEN in present else entries
