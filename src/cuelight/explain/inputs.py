"""Input batches of a model as pictures."""

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
    """Return input images ``(N, C, H, W)`` as RGB ``(N, H, W, 3)``; grey, the mean, if there are not three channels.

    uint8 is not scaled. Without ``preprocessing``, the smallest value of each image becomes black, the largest white.
    """
    images = images.detach()
    if images.dtype != torch.uint8:
        if preprocessing is not None and images.shape[1] == preprocessing.channels:
            shares = tensors.denormalize(preprocessing, images)
        else:
            shares = _stretched(images.float())
        images = (shares * _WHITE).round().byte()
    if images.shape[1] != _RGB:
        images = images.float().mean(1, keepdim=True).round().byte().expand(-1, _RGB, -1, -1)
    return np.ascontiguousarray(images.permute(0, 2, 3, 1).cpu().numpy())


def _stretched(images: Tensor) -> Tensor:
    images = images.nan_to_num(0, 0, 0)
    least, most = images.amin((1, 2, 3), keepdim=True), images.amax((1, 2, 3), keepdim=True)
    return (images - least) / (most - least).clamp(min=torch.finfo(images.dtype).tiny)
