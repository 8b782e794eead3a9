"""Convolution weights in channels-last memory format."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import ModelPruning
from lightning.pytorch.utilities.model_helpers import is_overridden
from torch import nn
from torch.nn.parameter import is_lazy
from torch.optim import LBFGS

from cuelight.callbacks.base.check import require_no_problem
from cuelight.config import Config
from cuelight.errors import CuelightError, Problem
from cuelight.utils.wrap_method import wrap_method

_NO_LBFGS = "ChannelsLast and LBFGS: LBFGS supports only the default memory format. Remove one of them."


class ChannelsLast(pl.Callback):
    """Stores the weights of 2d convolutions with their channels last, with which many networks train faster.

    The layout is PyTorch's ``torch.channels_last``. The values do not change. A convolution with such weights also
    computes in this layout and passes it on to the next layer; results differ from the default layout by rounding.
    Which networks become faster depends on the hardware: on CPUs those of depthwise and plain convolutions, on GPUs
    with tensor cores those in half precision. Transformers do not.

    Weights that a lazy layer creates in the first step keep the default layout. The position among the callbacks makes
    no difference.

    Raises:
        CuelightError: When training starts, if ModelPruning prunes single weights or the optimizer is LBFGS.
    """

    def check(self, config: Config | None, callbacks: Sequence[pl.Callback]) -> Iterator[Problem]:
        """Find callbacks and optimizers that need the default layout."""
        for callback in callbacks:
            if isinstance(callback, ModelPruning) and _prunes_single_weights(callback):
                yield Problem(
                    "ChannelsLast and ModelPruning: unstructured pruning supports only the default memory format. "
                    "Remove one of them, or prune whole channels: ln_structured or random_structured."
                )
        if config is not None and config.trainer.optimizer.name == "LBFGS":
            yield Problem(_NO_LBFGS)

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Change the layout, before the weights are copied and checkpoints are loaded."""
        if stage == "fit":
            require_no_problem(self, trainer)
        _lay_out(pl_module)
        if is_overridden("configure_model", pl_module):
            _lay_out_after_configure_model(pl_module)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Raise a ``CuelightError`` if the optimizer is LBFGS."""
        if any(isinstance(optimizer, LBFGS) for optimizer in trainer.optimizers):
            raise CuelightError(_NO_LBFGS)


def _lay_out_after_configure_model(module: pl.LightningModule) -> None:
    def once(configure_model: Callable[[], None]) -> None:
        undo()
        configure_model()
        _lay_out(module)

    undo = wrap_method(module, "configure_model", once)


def _prunes_single_weights(pruning: ModelPruning) -> bool:
    # Lightning keeps a class if it prunes all layers together, and a partial of a function otherwise.
    function = getattr(pruning.pruning_fn, "func", None)
    return isinstance(pruning.pruning_fn, type) or "unstructured" in getattr(function, "__name__", "")


def _lay_out(module: nn.Module) -> None:
    for layer in module.modules():
        # Layer by layer: module.to(memory_format=...) would raise on the weights of 3d convolutions.
        if isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d)) and not any(map(is_lazy, layer.parameters())):
            layer.to(memory_format=torch.channels_last)
