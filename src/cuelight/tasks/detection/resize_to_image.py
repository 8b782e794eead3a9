"""Boxes moved from the model input to the original image."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from cuelight.images.preprocessing import Preprocessing
from cuelight.tasks.detection.decode import Detections


def resize_to_image(result: Detections, preprocessing: Preprocessing, size: tuple[int, int]) -> Detections:
    """Undo the resizing of the preprocessing for boxes, and clip them to the image; ``size`` is width and height.

    Boxes in the bars of a letterbox are dropped.
    """
    width, height = size
    scaled_height, scaled_width = preprocessing.scaled_size(height, width)
    scaled, fitted = np.array([scaled_width, scaled_height]), np.array(preprocessing.size[::-1])
    # As center_crop rounds, which pads or crops.
    offset = np.where(scaled <= fitted, (fitted - scaled) // 2, -np.round((scaled - fitted) / 2))
    return replace(result, found=result.found.moved(offset, np.array(size) / scaled, size))
