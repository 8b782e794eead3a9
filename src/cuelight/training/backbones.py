"""Networks of timm, by name."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from typing import Any

import timm
import torch
from timm.models import get_pretrained_cfg, group_parameters, is_model_pretrained
from torch import Tensor, nn

from cuelight.errors import ConfigError, Problem
from cuelight.training.pretrained import checked, fetching

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
    backbone: str, pretrained: bool | str = False, backbone_params: Mapping[str, Any] | None = None, path: str = ""
) -> list[Problem]:
    """Report wrong settings of a backbone; no weights are created or read.

    ``backbone`` is a name of ``timm.list_models()``, with or without a tag of its weights, as in ``resnet18.a1_in1k``.
    ``path`` is the key path of the model's parameters, for the messages.
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


def network_names() -> list[str]:
    """Return the names of all networks."""
    return list(timm.list_models())


def is_backbone(name: str) -> bool:
    """Return whether timm has a network of this name."""
    return bool(timm.is_model(name.partition(".")[0])) and ":" not in name


def weight_problems(backbone: str, pretrained: bool | str, where: str) -> list[Problem]:
    """Report missing weights of a network that timm has; ``where`` is the key path of its name."""
    name, _, tag = backbone.partition(".")
    tags = [full.partition(".")[2] for full in timm.list_pretrained(name)]
    if tag and tag not in tags:
        return [Problem(f'{name} has no pretrained weights "{tag}".{near_names(tag, tags) or _any_of(tags)}', where)]
    if pretrained is True and not is_model_pretrained(backbone):
        message = f"{name} has no pretrained weights. Leave pretrained out or choose another backbone."
        return [Problem(message, where)]
    return []


def build_backbone(
    backbone: str,
    pretrained: bool | str,
    num_classes: int,
    in_channels: int,
    input_size: tuple[int, int],
    drop_rate: float,
    backbone_params: Mapping[str, Any],
) -> nn.Module:
    """Build a network from images ``(N, C, H, W)`` to logits ``(N, num_classes)``.

    Pretrained weights are downloaded once, or read from a file. ``input_size`` is the height and width in pixels, used
    by networks that are built for one size; ``drop_rate`` is the dropout before the classifier. An unknown name or
    argument, and a file that does not fit, raises ``ConfigError``, a failed download ``CuelightError``.
    """
    own = {"num_classes": num_classes, "drop_rate": drop_rate}
    return _create(backbone, pretrained, in_channels, input_size, backbone_params, **own)


def build_feature_maps(
    backbone: str,
    pretrained: bool | str,
    in_channels: int,
    input_size: tuple[int, int],
    strides: Sequence[int],
    backbone_params: Mapping[str, Any],
) -> tuple[nn.Module, list[int]]:
    """Build a network from images ``(N, C, H, W)`` to a list of feature maps, one for each stride, and their channels.

    ``strides`` are some of :func:`feature_strides`; for the rest see :func:`build_backbone`.
    """
    places = {stride: index for index, stride in enumerate(_feature_info(backbone).reduction())}
    own = {"features_only": True, "out_indices": tuple(places[stride] for stride in strides)}
    network = _create(backbone, pretrained, in_channels, input_size, backbone_params, **own)
    return ChannelsFirst(network), network.feature_info.channels()  # type: ignore[operator, union-attr]


def feature_strides(backbone: str) -> list[int]:
    """Return the strides of the feature maps of a network, ascending."""
    return sorted(set(_feature_info(backbone).reduction()))


def layer_numbers(module: nn.Module) -> dict[str, int]:
    """Return the number of the layer of each parameter of a backbone in a module, the first layer first.

    timm knows the order of the layers of most networks; for others, the result is empty.
    """
    parts = dict(module.named_modules())
    # timm keeps only the layers of a network that gives feature maps, some under other names.
    architectures = {name: getattr(part, "pretrained_cfg", {}).get("architecture") for name, part in parts.items()}
    places = [name for name, part in parts.items() if hasattr(part, "group_matcher")]
    places = places or [name for name, architecture in architectures.items() if architecture]
    if not places:
        return {}
    plain: Any = parts[places[0]]
    if not hasattr(plain, "group_matcher"):
        with torch.device("meta"):
            plain = timm.create_model(str(architectures[places[0]]))
    if not hasattr(plain, "group_matcher"):
        return {}
    numbers = group_parameters(plain, plain.group_matcher(coarse=False), reverse=True)
    numbers |= {name.replace(".", "_", 1): number for name, number in numbers.items()}
    own = [name for name, _ in parts[places[0]].named_parameters() if name in numbers]
    return {f"{places[0]}.{name}".removeprefix("."): numbers[name] for name in own}


class ChannelsFirst(nn.Module):
    """Returns the feature maps of a network as ``(N, C, H, W)``; a few networks have ``(N, H, W, C)``."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.channels_last = str(getattr(network, "output_fmt", "")).endswith("NHWC")

    def forward(self, images: Tensor) -> list[Tensor]:
        """Compute the feature maps, finest first."""
        maps: list[Tensor] = self.network(images)
        return [values.permute(0, 3, 1, 2) for values in maps] if self.channels_last else maps


def _create(
    backbone: str,
    pretrained: bool | str,
    in_channels: int,
    input_size: tuple[int, int],
    backbone_params: Mapping[str, Any],
    **own: Any,
) -> nn.Module:
    if problems := backbone_problems(backbone, pretrained, backbone_params):
        raise ConfigError(problems)
    sized = {"img_size": input_size} if is_built_for_one_size(backbone) else {}
    try:
        with fetching(backbone, pretrained, in_channels, backbone_params) as given:
            own |= {"pretrained": bool(pretrained), "in_chans": in_channels, **sized, **backbone_params, **given}
            return checked(timm.create_model(backbone, **own), pretrained)
    except TypeError as error:
        message = f"invalid arguments for {backbone}: {error}"
        raise ConfigError([Problem(message, "backbone_params")]) from error


def _feature_info(backbone: str) -> Any:
    with torch.device("meta"):
        return timm.create_model(backbone, features_only=True).feature_info


def is_built_for_one_size(backbone: str) -> bool:
    """Return whether a network is built for one size of images."""
    config = get_pretrained_cfg(backbone.partition(".")[0])
    return bool(config is not None and config.fixed_input_size)


def near_names(word: str, names: list[str]) -> str:
    """Suggest names in a sentence with a leading space; empty if none is near the misspelt ``word``."""
    near = difflib.get_close_matches(word.lower(), dict.fromkeys(names), n=3, cutoff=0.6)
    return f" Did you mean {_list(near)}?" if near else ""


def _any_of(names: list[str]) -> str:
    return f" Available: {_list(names[:5])}." if names else " None are available."


def _list(names: list[str]) -> str:
    quoted = [f'"{name}"' for name in names]
    return " or ".join([", ".join(quoted[:-1]), quoted[-1]]) if len(quoted) > 1 else quoted[0]
