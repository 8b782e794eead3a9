"""Layers that are not trained."""

from __future__ import annotations

from collections.abc import Iterable

from torch import nn

from cuelight.training.parameter_names import matching_parameters


def freeze(module: nn.Module, patterns: Iterable[str], path: str = "model.freeze") -> None:
    """Stop the training of the parameters that match; layers without any other parameter stay in eval mode.

    So the statistics of their batch normalization do not change. Lightning keeps the mode of each layer.

    Args:
        module: The model, before its training.
        patterns: See :func:`~cuelight.training.parameter_names.matching_parameters`.
        path: The key path of the patterns, for errors.

    Raises:
        ConfigError: If a pattern matches nothing.
    """
    parameters = dict(module.named_parameters())
    frozen = set()
    for index, pattern in enumerate(patterns):
        frozen |= {parameters[name] for name in matching_parameters(module, pattern, f"{path}.{index}")}
    for parameter in frozen:
        parameter.requires_grad_(False)
    for part in module.modules():
        own = set(part.parameters())
        if own and own <= frozen:
            part.eval()
