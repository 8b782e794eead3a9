"""A mask brought back from the size of the model to the image that it is of."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from cuelight.images.preprocessing import Preprocessing
from cuelight.tasks.segmentation.decode import UNSEEN, Segmentation


def resize_to_image(result: Segmentation, preprocessing: Preprocessing, size: tuple[int, int]) -> Segmentation:
    """Undo for a mask what was done to bring its image to the size of the model.

    Args:
        result: What the model sees, at its own size.
        preprocessing: How the image was prepared.
        size: Width and height of the image.

    Returns:
        The same at the size of the image, each pixel as the nearest one of the model has it. What a crop cut off is
        unseen, and the bars of a letterbox are gone.
    """
    width, height = size
    scaled_height, scaled_width = preprocessing.scaled_size(height, width)
    rows = _places(height, scaled_height, preprocessing.size[0])
    columns = _places(width, scaled_width, preprocessing.size[1])
    seen = (rows >= 0)[:, None] & (columns >= 0)
    where = np.ix_(rows, columns)
    return replace(
        result,
        mask=np.where(seen, result.mask[where], np.uint8(UNSEEN)),
        scores=np.where(seen, result.scores[where], np.float32(0)),
    )


def _places(length: int, scaled: int, fitted: int) -> NDArray[np.int64]:
    """Where the model has each pixel of a side of an image; -1 for those that it does not see."""
    offset = (fitted - scaled) // 2 if scaled <= fitted else -round((scaled - fitted) / 2)  # as center_crop rounds
    places = (2 * np.arange(length) + 1) * scaled // (2 * length) + offset
    return np.where((places >= 0) & (places < fitted), places, -1)
