"""A heat map in colors, alone and over the image that it explains."""

from __future__ import annotations

from functools import cache

import matplotlib as mpl
import numpy as np
from numpy.typing import NDArray
from PIL import Image

_COLOR_MAP = "viridis"
_LEVELS = 256
_SAME = 1e-6  # of the largest value; what is nearer is rounding
_LEAST, _MOST = 0.35, 0.75  # how much of the color covers the image, at no influence and at the largest
_LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)  # ITU-R BT.601


def is_constant(heat: NDArray[np.float32]) -> bool:
    """Return whether a heat map shows nothing.

    Args:
        heat: ``(h, w)``.

    Returns:
        Whether all its values are the same, up to rounding.
    """
    return float(np.ptp(heat)) <= _SAME * float(np.abs(heat).max())


@cache
def colors() -> NDArray[np.uint8]:
    """Give the color of each level of influence.

    Returns:
        ``(256, 3)``, from none to the largest; as even to the eye as to a ruler, and for the color-blind too.
    """
    table: NDArray[np.uint8] = mpl.colormaps[_COLOR_MAP](np.arange(_LEVELS), bytes=True)[:, :3]
    return table


def enlarge(heat: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.float32]:
    """Bring a heat map to the size of an image, smoothly.

    Between the positions of the map, and at its edge, a value may be a tenth above or below those around it.

    Args:
        heat: ``(h, w)``, 0 and above.
        size: Width and height in pixels.

    Returns:
        The share of the largest influence at each pixel, ``(H, W)``, 0 to 1.
    """
    scaled = Image.fromarray(heat / heat.max())
    # Bilinear is closer to the values, and draws diamonds and crosses around the peaks of a 7 x 7 map.
    return np.asarray(scaled.resize(size, Image.Resampling.BICUBIC)).clip(0, 1)


def paint(shares: NDArray[np.float32], image: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Paint a heat map, alone and over its image.

    The image loses its own colors there, so that every color is one of the map; where there is more influence, more of
    the color covers it.

    Args:
        shares: What :func:`enlarge` gives, ``(H, W)``.
        image: ``(H, W, 3)``.

    Returns:
        The map and the overlay, ``(H, W, 3)`` each.
    """
    painted = colors()[(shares * (_LEVELS - 1)).astype(np.uint8)]
    cover = (_LEAST + (_MOST - _LEAST) * shares)[..., None]
    gray = gray_of(image)[..., None]
    overlay = gray + cover * (painted - gray)
    return painted, overlay.astype(np.uint8)


def gray_of(image: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Take the colors from an image.

    Args:
        image: ``(H, W, 3)``.

    Returns:
        Its brightness, ``(H, W)``, 0 to 255.
    """
    return image.astype(np.float32) @ _LUMA
