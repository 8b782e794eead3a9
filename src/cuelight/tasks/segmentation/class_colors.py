"""A colour for each class, told apart by people who see colours differently too."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from cuelight.tasks.segmentation.decode import UNSEEN

# Each is as far as can be from those before it in OKLab, for normal vision, protanopia and deuteranopia alike
# (G. M. Machado et al., 2009, "A Physiologically-based Model for Simulation of Color Vision Deficiency").
_COLORS = (
    "#ee9900", "#55bbee", "#6600ff", "#bb0055", "#aaffbb", "#7766aa", "#ee7788", "#99ff00", "#997700", "#5588ff",
    "#00eeee", "#9900bb", "#ddcc77", "#dd33dd", "#ffaabb", "#cc77bb", "#ee1177", "#ff4455", "#bb1188", "#bb1111",
)  # fmt: skip
_BACKGROUND_NAMES = ("background", "_background_")
_UNSEEN_COLOR = (224, 224, 224)


def class_colors(names: Sequence[str]) -> NDArray[np.uint8]:
    """Choose a colour for each class.

    Args:
        names: The name of each class. One that is called "background" is black; after 20 others, colours come again.

    Returns:
        Red, green and blue for each value of a mask, ``(256, 3)``; 255 is grey.
    """
    table = np.zeros((256, 3), np.uint8)
    colored = [index for index, name in enumerate(names) if not is_background(name)]
    for place, index in enumerate(colored):
        table[index] = list(bytes.fromhex(_COLORS[place % len(_COLORS)][1:]))
    table[UNSEEN] = _UNSEEN_COLOR
    return table


def is_background(name: str) -> bool:
    """Return whether a class is the background."""
    return name.lower() in _BACKGROUND_NAMES
