"""The parameters of a model in groups with settings of their own, for an optimizer."""

from __future__ import annotations

from typing import Any

from torch import nn

from cuelight.config.schema import OptimizerPart, Part
from cuelight.errors import ConfigError, Problem
from cuelight.training.backbones import layer_numbers
from cuelight.training.parameter_names import matching_parameters

_PATH = "trainer.optimizer"


def parameter_groups(module: nn.Module, part: Part, defaults: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the trained parameters of a model in groups of equal settings, as torch's optimizers take them.

    Args:
        module: The model.
        part: The optimizer of a configuration.
        defaults: Its settings, ``lr`` among them.

    Raises:
        ConfigError: If no parameter requires a gradient, a pattern matches none, or a setting is not one of the
            optimizer.
    """
    trained = {name: parameter for name, parameter in module.named_parameters() if parameter.requires_grad}
    if not trained:
        message = "no parameter of the model requires a gradient, so there is nothing to train. Unfreeze some layers."
        raise ConfigError([Problem(message, "model")])
    settings: dict[str, dict[str, Any]] = {name: {} for name in trained}
    if isinstance(part, OptimizerPart):
        _decay_layers(module, part, defaults, settings)
        if not part.decay_norms:
            for name, parameter in trained.items():
                if parameter.ndim <= 1:
                    settings[name]["weight_decay"] = 0.0
        _set_given(module, part, defaults, settings)
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


def _set_given(
    module: nn.Module, part: OptimizerPart, defaults: dict[str, Any], settings: dict[str, dict[str, Any]]
) -> None:
    for index, given in enumerate(part.groups):
        path = f"{_PATH}.groups.{index}"
        if unknown := [name for name in given.params if name not in defaults]:
            message = f"this is no setting of {part.name} for a group. Expected some of: {', '.join(defaults)}."
            raise ConfigError([Problem(message, f"{path}.params.{unknown[0]}")])
        for name in matching_parameters(module, given.match, f"{path}.match"):
            if name in settings:  # otherwise it is frozen
                settings[name] |= given.params
