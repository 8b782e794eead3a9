"""Colors of the classes in masks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from cuelight.images.drawing import COLORS
from cuelight.tasks.segmentation.decode import UNSEEN

_BACKGROUND_NAMES = ("background", "_background_")
_UNSEEN_COLOR = (224, 224, 224)


def class_colors(names: Sequence[str]) -> NDArray[np.uint8]:
    """Return the RGB color of each mask value, ``(256, 3)``; 255 is grey.

    A class with the name "background" is black. After 20 other classes the colors repeat.
    """
    table = np.zeros((256, 3), np.uint8)
    colored = [index for index, name in enumerate(names) if not is_background(name)]
    for place, index in enumerate(colored):
        table[index] = list(bytes.fromhex(COLORS[place % len(COLORS)][1:]))
    table[UNSEEN] = _UNSEEN_COLOR
    return table


def is_background(name: str) -> bool:
    """Return whether this is the name of a background class."""
    return name.lower() in _BACKGROUND_NAMES
