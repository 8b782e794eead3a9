"""What a model is given, as images that people can look at."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cuelight.images import tensors
from cuelight.images.preprocessing import Preprocessing

_RGB = 3
_WHITE = 255


def as_pictures(images: Tensor, preprocessing: Preprocessing | None = None) -> NDArray[np.uint8]:
    """Turn a batch back into images.

    Args:
        images: What the model is given, ``(N, C, H, W)``; uint8 is taken as it is.
        preprocessing: How it was prepared. If it is not known, the least value of each image becomes black and the
            largest white.

    Returns:
        Red, green and blue, ``(N, H, W, 3)``; grey, the mean of the channels, where there are not three.
    """
    images = images.detach()
    if images.dtype != torch.uint8:
        fits = preprocessing is not None and images.shape[1] == preprocessing.channels
        shares = (
            tensors.denormalize(preprocessing, images)
            if preprocessing is not None and fits
            else _stretched(images.float())
        )
        images = (shares * _WHITE).round().byte()
    if images.shape[1] != _RGB:
        images = images.float().mean(1, keepdim=True).round().byte().expand(-1, _RGB, -1, -1)
    return np.ascontiguousarray(images.permute(0, 2, 3, 1).cpu().numpy())


def _stretched(images: Tensor) -> Tensor:
    images = images.nan_to_num(0, 0, 0)
    least, most = images.amin((1, 2, 3), keepdim=True), images.amax((1, 2, 3), keepdim=True)
    return (images - least) / (most - least).clamp(min=torch.finfo(images.dtype).tiny)
