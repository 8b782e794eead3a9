"""Running a model that may be in the middle of its training, so that nothing of it shows afterwards."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn


@contextmanager
def preserve_state(model: nn.Module, device: torch.device) -> Iterator[None]:
    """Let a model be run and differentiated by activations, in evaluation, without a trace.

    Inside, gradients are recorded whatever mode the caller is in, but not for parameters: so nothing is recorded
    before some activation asks for its gradient, and autocast keeps no cast of a parameter for later. Compiled parts
    run as they were written, with their hooks. When it is left, also by an exception, these are as before: whether
    each submodule trains, what each parameter requires, the state of torch's random number generators, and the modes
    of the caller.

    Args:
        model: The model.
        device: Where it is.

    Yields:
        Nothing.
    """
    with ExitStack() as stack:
        stack.enter_context(torch.inference_mode(mode=False))
        stack.enter_context(torch.enable_grad())
        stack.enter_context(_same_random_state(device))
        stack.enter_context(_evaluating(model))
        stack.enter_context(_constant_parameters(model))
        if "torch._dynamo" in sys.modules:  # otherwise nothing is compiled, and the import would take a second
            stack.enter_context(torch.compiler.set_stance("force_eager"))
        yield


def run(model: nn.Module, images: Tensor) -> Any:
    """Run a model with copies of its buffers, which its ``forward`` may change.

    Args:
        model: The model, inside of :func:`preserve_state`.
        images: A batch ``(N, C, H, W)``; it may be of inference mode.

    Returns:
        What the model gives.
    """
    copies = {name: buffer.detach().clone() for name, buffer in model.named_buffers()}
    # Tensors that were made in inference mode cannot take part in what is differentiated; copies can.
    copies |= {name: value.detach().clone() for name, value in model.named_parameters() if value.is_inference()}
    return torch.func.functional_call(model, copies, (images.detach().clone() if images.is_inference() else images,))


def _same_random_state(device: torch.device) -> AbstractContextManager[None]:
    if device.type == "cpu":
        return torch.random.fork_rng(devices=[])
    return torch.random.fork_rng(devices=[device], device_type=device.type)


@contextmanager
def _evaluating(model: nn.Module) -> Iterator[None]:
    """Put every submodule into evaluation by its flag alone: a ``train`` of its own may change weights."""
    training = [module for module in model.modules() if module.training]
    try:
        for module in training:
            module.training = False
        yield
    finally:
        for module in training:
            module.training = True


@contextmanager
def _constant_parameters(model: nn.Module) -> Iterator[None]:
    trained = [value for value in model.parameters() if value.requires_grad and not value.is_inference()]
    try:
        for parameter in trained:
            parameter.requires_grad_(False)
        yield
    finally:
        for parameter in trained:
            parameter.requires_grad_(True)
