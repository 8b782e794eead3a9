"""Colors of classes that color-blind readers can distinguish."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from cuelight.tasks.segmentation.decode import UNSEEN

# Each has the largest distance in OKLab from all before it, for normal vision, protanopia and deuteranopia
# (G. M. Machado et al., 2009, "A Physiologically-based Model for Simulation of Color Vision Deficiency").
_COLORS = (
    "#ee9900", "#55bbee", "#6600ff", "#bb0055", "#aaffbb", "#7766aa", "#ee7788", "#99ff00", "#997700", "#5588ff",
    "#00eeee", "#9900bb", "#ddcc77", "#dd33dd", "#ffaabb", "#cc77bb", "#ee1177", "#ff4455", "#bb1188", "#bb1111",
)  # fmt: skip
_BACKGROUND_NAMES = ("background", "_background_")
_UNSEEN_COLOR = (224, 224, 224)


def class_colors(names: Sequence[str]) -> NDArray[np.uint8]:
    """Return the RGB color of each mask value, ``(256, 3)``; 255 is grey.

    A class with the name "background" is black. After 20 other classes the colors repeat.
    """
    table = np.zeros((256, 3), np.uint8)
    colored = [index for index, name in enumerate(names) if not is_background(name)]
    for place, index in enumerate(colored):
        table[index] = list(bytes.fromhex(_COLORS[place % len(_COLORS)][1:]))
    table[UNSEEN] = _UNSEEN_COLOR
    return table


def is_background(name: str) -> bool:
    """Return whether this is the name of a background class."""
    return name.lower() in _BACKGROUND_NAMES
