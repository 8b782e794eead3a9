"""Weights of convolutions laid out as the hardware computes them."""

from __future__ import annotations

import lightning.pytorch as pl
import torch


class ChannelsLast(pl.Callback):
    """Lays the weights of 2d convolutions out with their channels last, with which many networks train faster.

    The values of the weights stay what they are, and a convolution whose weights lie so computes so, and gives its
    result in the same layout to the next. Results differ by rounding from those of the usual layout. Which networks
    gain, and how much, depends on the hardware: on CPUs those of depthwise and plain convolutions, on GPUs with tensor
    cores those in half precision. Transformers gain nothing.

    The layout is PyTorch's ``torch.channels_last``.
    """

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Change the layout, before copies of the weights are made and checkpoints are loaded into them."""
        pl_module.to(memory_format=torch.channels_last)
