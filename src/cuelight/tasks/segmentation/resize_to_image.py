"""Masks resized from the model input to the original image."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from cuelight.images.preprocessing import Preprocessing
from cuelight.tasks.segmentation.decode import UNSEEN, Segmentation


def resize_to_image(result: Segmentation, preprocessing: Preprocessing, size: tuple[int, int]) -> Segmentation:
    """Undo the resizing of the preprocessing for a mask, by nearest neighbors; ``size`` is width and height.

    Pixels that a crop cut off become ``UNSEEN``, and the bars of a letterbox are removed.
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
    """Return the position in the model input of each pixel along one side of an image; -1 if it is outside."""
    offset = (fitted - scaled) // 2 if scaled <= fitted else -round((scaled - fitted) / 2)  # as center_crop rounds
    places = (2 * np.arange(length) + 1) * scaled // (2 * length) + offset
    return np.where((places >= 0) & (places < fitted), places, -1)
