"""The parameters of a model in groups with settings of their own, for an optimizer."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer

from cuelight import registry
from cuelight.config.schema import OptimizerPart, Part
from cuelight.errors import ConfigError, Problem, did_you_mean
from cuelight.training.backbones import layer_numbers
from cuelight.training.parameter_names import matching_parameters

_PATH = "trainer.optimizer"


def parameter_groups(module: nn.Module, part: Part) -> list[dict[str, Any]]:
    """Return the trained parameters of a model in groups of equal settings, as torch's optimizers take them.

    Args:
        module: The model.
        part: The optimizer of a configuration.

    Raises:
        ConfigError: If no parameter requires a gradient, a pattern matches none, or the optimizer refuses a setting.
    """
    trained = {name: parameter for name, parameter in module.named_parameters() if parameter.requires_grad}
    if not trained:
        message = "no parameter of the model requires a gradient, so there is nothing to train. Unfreeze some layers."
        raise ConfigError([Problem(message, "model")])
    defaults, settings = _all_settings(part), {name: dict[str, Any]() for name in trained}
    if isinstance(part, OptimizerPart):
        _decay_layers(module, part, defaults, settings)
        _set_given(module, part, settings)
        if not part.decay_norms and "weight_decay" in defaults:
            for name, parameter in trained.items():
                if parameter.ndim <= 1:
                    settings[name]["weight_decay"] = 0.0
    groups: dict[str, dict[str, Any]] = {}
    for name, own in settings.items():
        group = groups.setdefault(repr(sorted(own.items())), {**own, "params": []})
        group["params"].append(trained[name])
    return list(groups.values())


def _decay_layers(
    module: nn.Module, part: OptimizerPart, defaults: dict[str, Any], settings: dict[str, dict[str, Any]]
) -> None:
    """Scale the learning rates of the layers of the backbone (H. Bao et al., 2021, "BEiT"); timm knows their order."""
    if part.layer_decay == 1:
        return
    numbers = layer_numbers(module)
    if not numbers:
        message = "timm does not know the order of the layers of this model. Use trainer.optimizer.groups instead."
        raise ConfigError([Problem(message, f"{_PATH}.layer_decay")])
    has_head = any(name not in numbers for name, _ in module.named_parameters())  # outside of the backbone
    last = max(numbers.values()) + has_head
    for name in settings.keys() & numbers.keys():
        if numbers[name] != last:
            settings[name]["lr"] = defaults["lr"] * part.layer_decay ** (last - numbers[name])


def _set_given(module: nn.Module, part: OptimizerPart, settings: dict[str, dict[str, Any]]) -> None:
    for index, given in enumerate(part.groups):
        path = f"{_PATH}.groups.{index}"
        try:
            own = _all_settings(part.model_copy(update={"params": part.params | given.params}))
        except ConfigError as error:
            problems = [each._replace(path=f"{path}.{each.path or 'params'}") for each in error.problems]
            raise ConfigError(problems) from error
        for key in sorted(given.params.keys() - own.keys()):
            message = f"{part.name} has no such setting for a group of parameters.{did_you_mean(key, own)}"
            raise ConfigError([Problem(message, f"{path}.params.{key}")])
        matched = set(matching_parameters(module, given.match, f"{path}.match"))
        if "weight_decay" in given.params and not part.decay_norms and not _decayed(module, matched):
            message = "decay_norms: false leaves norms and biases without decay, and this group has nothing else."
            raise ConfigError([Problem(message, f"{path}.params.weight_decay")])
        for name in matched & settings.keys():  # the others are frozen
            settings[name] |= {key: own[key] for key in given.params}


def _decayed(module: nn.Module, names: Collection[str]) -> bool:
    return any(parameter.ndim > 1 for name, parameter in module.named_parameters() if name in names)


def _all_settings(part: Part) -> dict[str, Any]:
    """Return the settings of an optimizer with their defaults, which only the optimizer knows."""
    probe: Optimizer = registry.optimizers.build(part, params=[nn.Parameter(torch.zeros(1))])
    return probe.defaults
