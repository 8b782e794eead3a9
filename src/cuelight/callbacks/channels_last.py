"""Weights of convolutions laid out as the hardware computes them."""

from __future__ import annotations

import lightning.pytorch as pl
import torch


class ChannelsLast(pl.Callback):
    """Lays the weights of 2d convolutions out with their channels last, which trains many networks faster.

    The numbers of the weights stay what they are, and a convolution whose weights lie so computes so, and gives its
    result in the same layout to the next. Results differ by rounding from those of the usual layout. Tensor cores of
    GPUs gain in half precision, CPUs by oneDNN in any; networks with grouped convolutions, and transformers, gain
    little or lose.

    The layout is that of PyTorch (``torch.channels_last``).
    """

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Change the layout, before copies of the weights are made and checkpoints are loaded into them."""
        pl_module.to(memory_format=torch.channels_last)
