"""The mean of losses over an epoch."""

from __future__ import annotations

import torch
from torch import Tensor
from torchmetrics import Metric


class WeightedMeanLoss(Metric):
    """A mean of losses, each with its weight; one that is no number shows.

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
        """Count a loss.

        Args:
            loss: A scalar.
            weight: How much it counts, such as its number of pixels; a scalar.
        """
        self.total += loss * weight
        self.weight += weight

    def compute(self) -> Tensor:
        """Compute the mean.

        Returns:
            A scalar; NaN if nothing was counted.
        """
        return self.total / self.weight
