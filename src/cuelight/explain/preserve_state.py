"""Run a model that may be in training without changing its state."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn


@contextmanager
def preserve_state(model: nn.Module, device: torch.device) -> Iterator[None]:
    """Put a model in evaluation mode, with gradients of activations but not of parameters.

    Gradients are recorded even under ``no_grad`` or ``inference_mode``. Because parameters need none, the graph
    starts at the first activation that does, and autocast caches no cast parameter. Compiled modules run eagerly,
    with their hooks. On exit these are restored: training flags, ``requires_grad``, torch's random number generators,
    and the modes of the caller.
    """
    training = [module for module in model.modules() if module.training]
    trained = [value for value in model.parameters() if value.requires_grad and not value.is_inference()]
    with ExitStack() as stack:
        stack.enter_context(torch.inference_mode(mode=False))
        stack.enter_context(torch.enable_grad())
        devices = [] if device.type == "cpu" else [device]
        stack.enter_context(torch.random.fork_rng(devices, device_type=device.type))
        if "torch._dynamo" in sys.modules:  # otherwise nothing is compiled; the import takes a second
            stack.enter_context(torch.compiler.set_stance("force_eager"))
        try:
            for module in training:
                module.training = False  # only the flag: an overridden `train` may change weights
            for parameter in trained:
                parameter.requires_grad_(False)
            yield
        finally:
            for module in training:
                module.training = True
            for parameter in trained:
                parameter.requires_grad_(True)


def run(model: nn.Module, images: Tensor) -> Any:
    """Run a model inside :func:`preserve_state`, with copies of its buffers because ``forward`` may change them."""
    copies = {name: buffer.detach().clone() for name, buffer in model.named_buffers()}
    # Autograd cannot use tensors created in inference mode, but copies of them.
    copies |= {name: value.detach().clone() for name, value in model.named_parameters() if value.is_inference()}
    return torch.func.functional_call(model, copies, (images.detach().clone() if images.is_inference() else images,))
