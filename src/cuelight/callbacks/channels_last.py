"""Weights of convolutions laid out as the hardware computes them."""

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
    """Lays the weights of 2d convolutions out with their channels last, with which many networks train faster.

    The values of the weights stay what they are, and a convolution whose weights lie so computes so, and gives its
    result in the same layout to the next. Results differ by rounding from those of the usual layout. Which networks
    gain, and how much, depends on the hardware: on CPUs those of depthwise and plain convolutions, on GPUs with tensor
    cores those in half precision. Transformers gain nothing.

    The layout is PyTorch's ``torch.channels_last``. Weights that a lazy layer makes in the first step keep the usual
    one. Its place among the callbacks makes no difference.

    Raises:
        CuelightError: When training starts, beside a ModelPruning of single weights or the optimizer LBFGS.
    """

    def check(self, config: Config | None, callbacks: Sequence[pl.Callback]) -> Iterator[Problem]:
        """Find what reads the weights as if they were in the usual layout."""
        for callback in callbacks:
            if isinstance(callback, ModelPruning) and _prunes_single_weights(callback):
                yield Problem(
                    "ChannelsLast and ModelPruning: unstructured pruning supports only the default memory format. "
                    "Remove one of them, or prune whole channels: ln_structured or random_structured."
                )
        if config is not None and config.trainer.optimizer.name == "LBFGS":
            yield Problem(_NO_LBFGS)

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Change the layout, before copies of the weights are made and checkpoints are loaded into them.

        Raises:
            CuelightError: If another callback cannot work beside it.
        """
        if stage == "fit":
            require_no_problem(self, trainer)
        _lay_out(pl_module)
        if is_overridden("configure_model", pl_module):
            self._lay_out_what_is_made(pl_module)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Look at the optimizers.

        Raises:
            CuelightError: If one cannot work beside it.
        """
        if any(isinstance(optimizer, LBFGS) for optimizer in trainer.optimizers):
            raise CuelightError(_NO_LBFGS)

    def _lay_out_what_is_made(self, module: pl.LightningModule) -> None:
        def once(configure_model: Callable[[], None]) -> None:
            undo()
            configure_model()
            _lay_out(module)

        undo = wrap_method(module, "configure_model", once)


def _prunes_single_weights(pruning: ModelPruning) -> bool:
    function = getattr(pruning.pruning_fn, "func", None)  # Lightning keeps a partial of it
    return pruning._use_global_unstructured or "unstructured" in getattr(function, "__name__", "")  # noqa: SLF001


def _lay_out(module: nn.Module) -> None:
    for layer in module.modules():
        # One by one, because PyTorch has no such layout for the weights of 3d convolutions, and refuses them.
        if isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d)) and not any(map(is_lazy, layer.parameters())):
            layer.to(memory_format=torch.channels_last)
