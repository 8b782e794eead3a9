"""Layers that are not trained."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence

from torch import nn

from cuelight.config.schema import FrozenLayers
from cuelight.errors import ConfigError, Problem
from cuelight.training.parameter_names import matching_parameters

PATH = "model.freeze"
"""The key path of the frozen layers."""


def freeze(module: nn.Module, patterns: Mapping[str, str]) -> Callable[[], None]:
    """Stop the training of the parameters that match; layers without any other parameter stay in eval mode.

    So the statistics of their batch normalization do not change. Lightning keeps the mode of each layer.

    Args:
        module: The model.
        patterns: See :func:`~cuelight.training.parameter_names.matching_parameters`, by their key paths.

    Returns:
        A function that undoes it.

    Raises:
        ConfigError: If a pattern matches nothing.
    """
    parameters = dict(module.named_parameters())
    frozen = {
        parameters[name] for path, pattern in patterns.items() for name in matching_parameters(module, pattern, path)
    }
    changed = [parameter for parameter in frozen if parameter.requires_grad]
    whole = [part for part in module.modules() if (own := set(part.parameters())) and own <= frozen]
    stopped = {layer for part in whole for layer in part.modules() if layer.training}
    _set(changed, stopped, is_trained=False)
    return lambda: _set(changed, stopped, is_trained=True)


def freeze_for_training(module: nn.Module, entries: Sequence[FrozenLayers]) -> None:
    """Freeze what is never trained, and check what is frozen for some epochs.

    Raises:
        ConfigError: If a pattern matches nothing, or nothing that is trained later; or nothing is trained at first.
    """
    lasting = frozen_in(math.inf, entries)
    freeze(module, lasting)
    passing = {path: pattern for path, pattern in frozen_in(0, entries).items() if path not in lasting}
    parameters = dict(module.named_parameters())
    frozen = set()
    for path, pattern in passing.items():
        matched = {parameters[name] for name in matching_parameters(module, pattern, path)}
        if not any(parameter.requires_grad for parameter in matched):
            message = f'"{pattern}" is frozen for the whole training by another entry, so until_epoch has no effect.'
            raise ConfigError([Problem(f"{message} Remove one of the two.", path)])
        frozen |= matched
    if passing and not any(parameter.requires_grad for parameter in parameters.values() if parameter not in frozen):
        message = "all parameters of the model are frozen at first, so there is nothing to train. Unfreeze some layers."
        raise ConfigError([Problem(message, PATH)])


def frozen_in(epoch: float, entries: Sequence[FrozenLayers]) -> dict[str, str]:
    """Return the patterns of what is frozen in an epoch (from 0) by key path; what always is, if it is infinite."""
    return {
        f"{PATH}.{index}": entry.match
        for index, entry in enumerate(entries)
        if entry.until_epoch is None or epoch < entry.until_epoch
    }


def _set(parameters: Iterable[nn.Parameter], layers: Iterable[nn.Module], is_trained: bool) -> None:
    for parameter in parameters:
        parameter.requires_grad_(is_trained)
    for layer in layers:
        layer.training = is_trained
