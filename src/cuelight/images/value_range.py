"""Images with more than 8 bits per pixel, whose black and white are given as a value range."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cuelight.errors import DataError

ValueRange = tuple[float, float]

_UINT8_MAX = 255


def has_more_than_8_bits(image: Image.Image) -> bool:
    """Return whether the pixels are integers of more than 8 bits, or floating-point numbers."""
    return image.mode in {"I", "F"} or image.mode.startswith("I;16")


def scale_values(image: Image.Image, value_range: ValueRange | None) -> NDArray[np.float32]:
    """Return the values of a deep image, float32 ``(H, W)``, from 0 (black) to 1 (white).

    Values outside of ``value_range`` are clipped.

    Raises:
        DataError: There is no range, or a value is NaN or infinite.

    Examples:
        >>> scale_values(Image.fromarray(np.array([[0, 2, 4, 5]], dtype=np.int32)), (0, 4)).tolist()
        [[0.0, 0.5, 1.0, 1.0]]
    """
    if problem := value_problem(image, value_range):
        raise DataError(f"{getattr(image, 'filename', '') or 'An image'}: {problem}.")
    black, white = value_range or (0, 1)
    values = (np.asarray(image, dtype=np.float64) - black) / (white - black)
    return values.clip(0, 1).astype(np.float32)


def to_8_bits(image: Image.Image, value_range: ValueRange | None) -> Image.Image:
    """Return an image with 8 bits per channel."""
    if not has_more_than_8_bits(image):
        return image
    return Image.fromarray((scale_values(image, value_range) * _UINT8_MAX).round().astype(np.uint8))


def value_problem(image: Image.Image, value_range: ValueRange | None) -> str | None:
    """Return why the values of a deep image cannot be used; ``None`` if they can."""
    if image.mode == "F" and not np.isfinite(np.asarray(image)).all():
        return "it contains NaN or infinity, which is neither black nor white"
    if value_range is not None:
        return None
    values = np.asarray(image)
    return (
        f"its mode {image.mode} does not say which values are black and white, and value_range is not set; its values "
        f"are {values.min():g} to {values.max():g}. Train with data.params.value_range: [black, white]"
    )


def range_problem(value_range: Sequence[Any]) -> str | None:
    """Return what is wrong with a value range; ``None`` if nothing is."""
    numbers = [value for value in value_range if isinstance(value, (int, float)) and math.isfinite(value)]
    if len(value_range) == len(numbers) == 2 and numbers[0] != numbers[1]:  # noqa: PLR2004
        return None
    return f"expected two different numbers, the values of black and white, such as [0, 4095]; got {value_range!r}."
