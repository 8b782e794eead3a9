"""How photographs in files are prepared, of what a user says about it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from pydantic import Field

from cuelight.preprocessing import IMAGENET_MEAN, IMAGENET_STD, ColorOrder, Preprocessing, ResizeMode

Size = Annotated[int, Field(ge=1)] | tuple[int, int]
"""Height and width in pixels; one number for a square."""

# The luma of ImageNet.
_GRAY_MEAN = (0.449,)
_GRAY_STD = (0.226,)


def photo_preprocessing(
    size: Size, mean: Sequence[float] | None, std: Sequence[float] | None, color: ColorOrder, resize: ResizeMode
) -> Preprocessing:
    """Prepare photographs, normalized as those of ImageNet where nothing else is said.

    Args:
        size: Height and width in pixels that the model sees; one number for a square.
        mean: Mean of each channel on the 0-1 scale, in the order of ``color``; that of ImageNet if None.
        std: Standard deviation of each channel on the 0-1 scale; that of ImageNet if None.
        color: Order of the channels that the model sees.
        resize: How an image is brought to ``size``.

    Returns:
        What is done to every image.

    Raises:
        ConfigError: A value is out of its range, or mean and std do not have one number per channel.
    """
    usual_mean, usual_std = (_GRAY_MEAN, _GRAY_STD) if color == "GRAY" else (IMAGENET_MEAN, IMAGENET_STD)
    order = -1 if color == "BGR" else 1
    return Preprocessing(
        size=(size, size) if isinstance(size, int) else (size[0], size[1]),
        mean=usual_mean[::order] if mean is None else tuple(mean),
        std=usual_std[::order] if std is None else tuple(std),
        color=color,
        resize=resize,
    )
