"""Heat maps in colors, alone and over their image."""

from __future__ import annotations

from functools import cache

import matplotlib as mpl
import numpy as np
from numpy.typing import NDArray
from PIL import Image

_COLOR_MAP = "viridis"
_LEVELS = 256
_SAME = 1e-6  # of the largest value; smaller differences are rounding errors
_LEAST, _MOST = 0.35, 0.75  # opacity of the color at no influence and at the largest
_LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)  # ITU-R BT.601


def is_constant(heat: NDArray[np.float32]) -> bool:
    """Return whether all values of a heat map ``(h, w)`` are equal, up to rounding."""
    return float(np.ptp(heat)) <= _SAME * float(np.abs(heat).max())


@cache
def colors() -> NDArray[np.uint8]:
    """Return the color map ``(256, 3)``, from no influence to the largest, also for color-blind readers."""
    table: NDArray[np.uint8] = mpl.colormaps[_COLOR_MAP](np.arange(_LEVELS), bytes=True)[:, :3]
    return table


def enlarge(heat: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.float32]:
    """Scale a heat map ``(h, w)`` to a width and height in pixels, as shares ``(H, W)`` of its largest value, 0 to 1.

    Interpolation may overshoot by a tenth.
    """
    scaled = Image.fromarray(heat / heat.max())
    # Bilinear does not overshoot, but draws diamonds and crosses around the peaks of a 7 x 7 map.
    return np.asarray(scaled.resize(size, Image.Resampling.BICUBIC)).clip(0, 1)


def paint(shares: NDArray[np.float32], image: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return a heat map ``(H, W)`` of shares in colors, and over its image ``(H, W, 3)``.

    The image is converted to gray, so that all colors are those of the map. Opacity grows with influence.
    """
    painted = colors()[(shares * (_LEVELS - 1)).astype(np.uint8)]
    cover = (_LEAST + (_MOST - _LEAST) * shares)[..., None]
    gray = gray_of(image)[..., None]
    overlay = gray + cover * (painted - gray)
    return painted, overlay.astype(np.uint8)


def gray_of(image: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return the brightness ``(H, W)``, 0 to 255, of an RGB image ``(H, W, 3)``."""
    return image.astype(np.float32) @ _LUMA
