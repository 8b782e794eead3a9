"""Networks by name, from timm's closed list."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any

import timm
from timm.models import get_pretrained_cfg, is_model_pretrained
from torch import nn

from cuelight.errors import ConfigError, CuelightError, Problem

_SET_ELSEWHERE = {
    "num_classes": "num_classes",
    "in_chans": "in_channels",
    "pretrained": "pretrained",
    "drop_rate": "drop_rate",
}
# These read files, or change what a forward pass returns.
_REFUSED = frozenset({
    "cache_dir", "checkpoint_path", "exportable", "features_only", "model_name", "no_jit", "out_indices",
    "pretrained_cfg", "pretrained_cfg_overlay", "pretrained_strict", "scriptable",
})  # fmt: skip


def backbone_problems(
    backbone: str, pretrained: bool = False, backbone_params: Mapping[str, Any] | None = None, path: str = ""
) -> list[Problem]:
    """Check a backbone before it is built; no weights are made or read.

    Args:
        backbone: A name of ``timm.list_models()``, if wanted with a tag of its weights such as ``resnet18.a1_in1k``.
        pretrained: Whether pretrained weights are wanted.
        backbone_params: More arguments of the network.
        path: The key path of the model's parameters, for the messages.

    Returns:
        One problem for each thing that is wrong.
    """
    where = f"{path}.backbone" if path else "backbone"
    name = backbone.partition(".")[0]
    if not is_backbone(backbone):
        return [Problem(f'timm has no network "{backbone}".{near_names(name, timm.list_models())}', where)]
    problems = weight_problems(backbone, pretrained, where)
    for key in backbone_params or {}:
        key_path = f"{path}.backbone_params.{key}" if path else f"backbone_params.{key}"
        if key in _SET_ELSEWHERE:
            problems.append(Problem(f"set {_SET_ELSEWHERE[key]} of the model instead.", key_path))
        elif key in _REFUSED:
            problems.append(Problem("this argument of timm cannot be set here.", key_path))
    return problems


def is_backbone(name: str) -> bool:
    """Return whether timm has a network."""
    return bool(timm.is_model(name.partition(".")[0])) and ":" not in name


def weight_problems(backbone: str, pretrained: bool, where: str) -> list[Problem]:
    """Check whether there are the weights that are asked for.

    Args:
        backbone: The name of a network that timm has, perhaps with a tag of its weights.
        pretrained: Whether pretrained weights are wanted.
        where: The key path of the name, for the messages.

    Returns:
        What is wrong.
    """
    name, _, tag = backbone.partition(".")
    tags = [full.partition(".")[2] for full in timm.list_pretrained(name)]
    if tag and tag not in tags:
        return [Problem(f'there are no weights "{tag}" of {name}.{near_names(tag, tags) or _any_of(tags)}', where)]
    if pretrained and not is_model_pretrained(backbone):
        message = f"there are no pretrained weights of {name}. Leave pretrained out or choose another backbone."
        return [Problem(message, where)]
    return []


def build_backbone(
    backbone: str,
    pretrained: bool,
    num_classes: int,
    in_channels: int,
    input_size: tuple[int, int],
    drop_rate: float,
    backbone_params: Mapping[str, Any],
) -> nn.Module:
    """Make a classification network.

    Args:
        backbone: A name of ``timm.list_models()``.
        pretrained: Whether to start from pretrained weights; they are downloaded once.
        num_classes: Outputs of the classifier.
        in_channels: Channels of the images.
        input_size: Height and width of the images in pixels, for the networks that are built for one size.
        drop_rate: Dropout before the classifier, 0 to 1.
        backbone_params: More arguments of the network.

    Returns:
        A module from images ``(N, C, H, W)`` to logits ``(N, num_classes)``.

    Raises:
        ConfigError: If the name or an argument is not known.
        CuelightError: If the pretrained weights cannot be fetched.
    """
    if problems := backbone_problems(backbone, pretrained, backbone_params):
        raise ConfigError(problems)
    sized = {"img_size": input_size} if is_built_for_one_size(backbone) else {}
    try:
        network: nn.Module = timm.create_model(
            backbone,
            pretrained=pretrained,
            num_classes=num_classes,
            in_chans=in_channels,
            drop_rate=drop_rate,
            **(sized | dict(backbone_params)),
        )
    except TypeError as error:
        message = f"{backbone} does not take these arguments: {error}"
        raise ConfigError([Problem(message, "backbone_params")]) from error
    except OSError as error:
        raise CuelightError(
            f"The pretrained weights of {backbone} could not be fetched: {error} Connect to the internet once, or "
            "set pretrained: false."
        ) from error
    return network


def is_built_for_one_size(backbone: str) -> bool:
    """Return whether a network has to know the size of its images."""
    config = get_pretrained_cfg(backbone.partition(".")[0])
    return bool(config is not None and config.fixed_input_size)


def near_names(word: str, names: list[str]) -> str:
    """Suggest the names nearest to a misspelt one.

    Args:
        word: What was written.
        names: What would have been right.

    Returns:
        A sentence with a leading space; empty if nothing is near.
    """
    near = difflib.get_close_matches(word.lower(), dict.fromkeys(names), n=3, cutoff=0.6)
    return f" Did you mean {_list(near)}?" if near else ""


def _any_of(names: list[str]) -> str:
    return f" There are {_list(names[:5])}." if names else " There are none at all."


def _list(names: list[str]) -> str:
    quoted = [f'"{name}"' for name in names]
    return " or ".join([", ".join(quoted[:-1]), quoted[-1]]) if len(quoted) > 1 else quoted[0]
