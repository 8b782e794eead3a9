"""Methods that compute heat maps from the activation of a layer and the gradient of a class score.

Activation and gradient are ``(N, C, h, w)``; the maps are ``(N, h, w)`` and at least 0.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal

import torch
from torch import Tensor

Method = Literal["gradcam", "hirescam", "gradcam++", "eigencam"]

_EPSILON = 1e-6


def grad_cam(activation: Tensor, gradient: Tensor) -> Tensor:
    """Sum the channels, each weighted by the mean of its gradient over the map.

    Selvaraju et al. 2017, "Grad-CAM: Visual Explanations from Deep Networks via Gradient-based Localization",
    equations 1 and 2.
    """
    return torch.einsum("nc,nchw->nhw", gradient.mean((2, 3)), activation).relu()


def hires_cam(activation: Tensor, gradient: Tensor) -> Tensor:
    """Sum the channels, each element weighted by its own gradient.

    Draelos and Carin 2020, "Use HiResCAM instead of Grad-CAM for faithful explanations of convolutional neural
    networks". The map shows only positions that the score depends on, not all where a channel is active.
    """
    return (gradient * activation).sum(1).relu()


def grad_cam_plus_plus(activation: Tensor, gradient: Tensor) -> Tensor:
    """Sum the channels, each weighted by its positive gradients with a coefficient for each position.

    Chattopadhay et al. 2018, "Grad-CAM++: Improved Visual Explanations for Deep Convolutional Networks",
    equation 19, which takes the score as an exponent, so that its higher derivatives are powers of the first. Several
    objects of one class get equal weight.
    """
    square = gradient.square()
    total = activation.sum((2, 3), keepdim=True)
    # The epsilon of pytorch-grad-cam: it determines the weight of small gradients.
    coefficient = square / (2 * square + total * square * gradient + _EPSILON)
    weights = (gradient.relu() * coefficient).sum((2, 3))
    return torch.einsum("nc,nchw->nhw", weights, activation).relu()


def eigen_cam(activation: Tensor) -> Tensor:
    """Project the activation on its first principal component over the positions of the map.

    Muhammad and Yeasin 2020, "Eigen-CAM: Class Activation Map using Principal Components". It needs no gradient and
    does not depend on a class. The sign of the component is chosen so that the value with the largest magnitude is
    positive (Chung and Ying 2025, "Seg-Eigen-CAM", equation 13). The map of a non-finite activation is NaN.
    """
    finite = activation.isfinite().flatten(1).all(1)
    positions = activation.where(finite[:, None, None, None], 0).flatten(2).transpose(1, 2)
    components, lengths, _ = torch.linalg.svd(positions - positions.mean(1, keepdim=True), full_matrices=False)
    projection = components[..., 0] * lengths[:, :1]
    largest = projection.gather(1, projection.abs().argmax(1, keepdim=True))
    maps: Tensor = projection * largest.sign()
    return maps.relu().where(finite[:, None], torch.nan).view(len(activation), *activation.shape[2:])


METHODS: Mapping[Method, Callable[[Tensor, Tensor], Tensor]] = {
    "gradcam": grad_cam,
    "hirescam": hires_cam,
    "gradcam++": grad_cam_plus_plus,
    "eigencam": lambda activation, _: eigen_cam(activation),
}
