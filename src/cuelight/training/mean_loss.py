"""The mean of losses over an epoch."""

from __future__ import annotations

import torch
from torch import Tensor
from torchmetrics import Metric


class WeightedMeanLoss(Metric):
    """A weighted mean of losses; one NaN makes the mean NaN.

    ``MeanMetric`` of torchmetrics either leaves such losses out or takes no weights.
    """

    full_state_update = False
    total: Tensor
    weight: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.add_state("total", torch.tensor(0.0), dist_reduce_fx="sum")
        self.add_state("weight", torch.tensor(0.0), dist_reduce_fx="sum")

    def update(self, loss: Tensor, weight: Tensor) -> None:
        """Add a scalar loss with its weight, such as the number of pixels; a scalar too."""
        self.total += loss * weight
        self.weight += weight

    def compute(self) -> Tensor:
        """Return the mean, a scalar; NaN if there are no losses."""
        return self.total / self.weight
