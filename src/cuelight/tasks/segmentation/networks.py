"""Segmentation networks by name: architectures of segmentation-models-pytorch with its own encoders or those of timm.

The architecture is one of ``ARCHITECTURES`` in upper or lower case, the encoder a name of timm, or of an encoder that
only segmentation-models-pytorch has.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import segmentation_models_pytorch as smp
import timm
import torch
from segmentation_models_pytorch.encoders import encoders as own_encoders
from torch import Tensor, nn
from torch.func import functional_call

from cuelight.errors import ConfigError, Problem, did_you_mean
from cuelight.training.backbones import is_backbone, is_built_for_one_size, near_names, network_names, weight_problems
from cuelight.training.pretrained import checked, fetching

ARCHITECTURES = (
    "Unet", "UnetPlusPlus", "MAnet", "Linknet", "FPN", "PSPNet", "DeepLabV3", "DeepLabV3Plus", "PAN", "UPerNet",
    "Segformer", "DPT",
)  # fmt: skip
_TIMM = "tu-"  # the library's prefix for timm encoders
_SET_ELSEWHERE = {
    "encoder_name": "encoder",
    "encoder_weights": "pretrained",
    "in_channels": "in_channels",
    "classes": "num_classes",
    "img_size": "input_size",
}
_REFUSED = {
    "activation": "the model outputs logits; losses and metrics expect them without an activation.",
    "aux_params": "it adds a second output, which would not be trained.",
}
_PARAMS = "architecture_params"
_USUAL_STRIDE = 32
# Raised by the two libraries for incompatible parts and arguments.
_REFUSALS = (TypeError, ValueError, KeyError, AttributeError, AssertionError, IndexError)


def architecture_names() -> list[str]:
    """Return the names of all architectures."""
    return list(ARCHITECTURES)


def encoder_names() -> list[str]:
    """Return the names of all encoders, those of timm with and without the prefix of the library."""
    return [*own_encoders, *(f"{prefix}{name}" for name in network_names() for prefix in ("", _TIMM))]


def network_problems(
    architecture: str,
    encoder: str,
    pretrained: bool | str = False,
    architecture_params: Mapping[str, Any] | None = None,
    path: str = "",
) -> list[Problem]:
    """Check a network without creating or reading weights; ``path`` is the key path of the model's parameters."""
    params = architecture_params or {}
    if problems := _name_problems(architecture, encoder, pretrained, params, path):
        return problems
    try:
        with torch.device("meta"):
            smp.create_model(architecture, encoder_name=_library_name(encoder), encoder_weights=None, **params)
    except _REFUSALS as error:
        return [_refusal(error, architecture, encoder, params, path)]
    except RuntimeError:  # a few networks cannot be built on the meta device
        return []
    return []


def _name_problems(
    architecture: str, encoder: str, pretrained: bool | str, params: Mapping[str, Any], path: str
) -> list[Problem]:
    prefix = f"{path}." if path else ""
    problems = []
    if _full_name(architecture) is None:
        known = ", ".join(ARCHITECTURES)
        message = f'unknown architecture "{architecture}".{did_you_mean(architecture, ARCHITECTURES)}'
        problems.append(Problem(f"{message} Expected one of: {known}.", f"{prefix}architecture"))
    problems += _encoder_problems(encoder, pretrained, f"{prefix}encoder")
    for key in params:
        if key in _SET_ELSEWHERE:
            message = f"set {_SET_ELSEWHERE[key]} of the model instead."
            problems.append(Problem(message, f"{prefix}{_PARAMS}.{key}"))
        elif key in _REFUSED:
            problems.append(Problem(f"it cannot be set: {_REFUSED[key]}", f"{prefix}{_PARAMS}.{key}"))
    return problems


def build_network(
    architecture: str,
    encoder: str,
    pretrained: bool | str,
    num_classes: int,
    in_channels: int,
    input_size: tuple[int, int],
    architecture_params: Mapping[str, Any],
) -> nn.Module:
    """Build a network from images ``(N, in_channels, H, W)`` to logits ``(N, num_classes, H, W)``.

    ``input_size`` is height and width. Pretrained weights of the encoder are downloaded once, or read
    from a file.

    Raises:
        ConfigError: If a name or an argument is not known, or the parts do not fit each other or the images.
        CuelightError: If the pretrained weights cannot be fetched.
    """
    path = "model.params"
    if problems := _name_problems(architecture, encoder, pretrained, architecture_params, path):
        raise ConfigError(problems)
    name = _library_name(encoder)
    plain = name.removeprefix(_TIMM)
    sized = {"img_size": input_size} if name.startswith(_TIMM) and is_built_for_one_size(plain) else {}
    made_of = _words(architecture, encoder)
    try:
        with fetching(plain, pretrained, in_channels, {}) as given:
            network: nn.Module = smp.create_model(
                architecture,
                encoder_name=name,
                encoder_weights=_weights(name) if pretrained else None,
                in_channels=in_channels,
                classes=num_classes,
                **(sized | dict(architecture_params) | given),
            )
            checked(network, pretrained)
    except (*_REFUSALS, RuntimeError) as error:
        raise ConfigError([_refusal(error, architecture, encoder, architecture_params, path)]) from error
    _check_size(network, made_of, in_channels, input_size)
    return network


def learns_from_one_image(network: nn.Module, in_channels: int, size: tuple[int, int]) -> bool:
    """Return whether a network can be trained on batches of one image, of this height and width.

    Networks with batch normalization after global pooling cannot.
    """
    try:
        _run_without_memory(network.train(), in_channels, size)
    except ValueError:
        return False
    return True


def _refusal(error: Exception, architecture: str, encoder: str, params: Mapping[str, Any], path: str) -> Problem:
    """Explain an error of the library about incompatible parts and arguments."""
    prefix = f"{path}." if path else ""
    if unknown := next((name for name in params if f"unexpected keyword argument '{name}'" in str(error)), None):
        near = did_you_mean(unknown, inspect.signature(_network_class(architecture)).parameters)
        message = f'{_words(architecture, encoder)} has no argument "{unknown}".{near}'
        return Problem(message, f"{prefix}{_PARAMS}.{unknown}")
    message = f"{_words(architecture, encoder)} cannot be built: {str(error).rstrip('.')}. Choose another encoder"
    return Problem(f"{message}, or other {_PARAMS}." if params else f"{message} or architecture.", path)


def _network_class(architecture: str) -> type[nn.Module]:
    network: type[nn.Module] = smp.MODEL_ARCHITECTURES_MAPPING[architecture.lower()]
    return network


def _full_name(architecture: str) -> str | None:
    return {name.lower(): name for name in ARCHITECTURES}.get(architecture.lower())


def _words(architecture: str, encoder: str) -> str:
    return f"{_full_name(architecture)} with the encoder {encoder}"


def _encoder_problems(encoder: str, pretrained: bool | str, where: str) -> list[Problem]:
    plain = encoder.removeprefix(_TIMM)
    if is_backbone(plain):
        return weight_problems(plain, pretrained, where)
    if encoder in own_encoders:
        message = f"{encoder} is no network of timm, so a file of its weights cannot be read. Use model.init_from."
        return [Problem(message, f"{where.removesuffix('encoder')}pretrained")] if isinstance(pretrained, str) else []
    near = near_names(plain.partition(".")[0], sorted({*own_encoders, *timm.list_models()}))
    message = f'neither segmentation-models-pytorch nor timm has an encoder "{encoder}".{near}'
    return [Problem(message, where)]


def _library_name(encoder: str) -> str:
    """Return the library's name of an encoder, timm's if both have it: no unused layers, and newer weights."""
    plain = encoder.removeprefix(_TIMM)
    return f"{_TIMM}{plain}" if is_backbone(plain) else encoder


def _weights(name: str) -> str | bool:
    if name.startswith(_TIMM):
        return True  # the default weights of the encoder
    known = list(own_encoders[name]["pretrained_settings"])
    return "imagenet" if "imagenet" in known else str(known[0])


def _check_size(network: nn.Module, made_of: str, in_channels: int, size: tuple[int, int]) -> None:
    """Raise ``ConfigError`` if the network fails for this size, or its masks have another size."""
    if _output_size(network, in_channels, size) == size:
        return
    fitting = " or ".join(f"{height} x {width}" for height, width in _fitting_sizes(network, in_channels, size))
    advice = (
        f"It accepts {fitting}: set `size` of the data." if fitting else f"Choose another encoder, or other {_PARAMS}."
    )
    message = f"{made_of} does not accept images of {size[0]} x {size[1]} pixels. {advice}"
    raise ConfigError([Problem(message, "model.params.input_size")])


def _fitting_sizes(network: nn.Module, in_channels: int, size: tuple[int, int]) -> list[tuple[int, int]]:
    """Return up to two supported sizes near this one."""
    step = int(getattr(network.encoder, "output_stride", _USUAL_STRIDE))
    lower, upper = ([max(step, side // step * step) for side in size], [-(-side // step) * step for side in size])
    near = [lower, upper, *([more * side for side in upper] for more in (2, 4))]
    tried = dict.fromkeys((height, width) for height, width in near)
    return [other for other in tried if _output_size(network, in_channels, other) == other][:2]


def _output_size(network: nn.Module, in_channels: int, size: tuple[int, int]) -> tuple[int, int] | None:
    """Return the size of the masks; ``None`` if the network fails for this size of images."""
    was_training = network.training
    try:
        logits = _run_without_memory(network.eval(), in_channels, size)
    except (RuntimeError, ValueError, AssertionError):
        return None
    finally:
        network.train(was_training)
    height, width = logits.shape[-2:]
    return int(height), int(width)


def _run_without_memory(network: nn.Module, in_channels: int, size: tuple[int, int]) -> Tensor:
    """Run a network on one image on the meta device, which has shapes but no data."""
    tensors = {**dict(network.named_parameters()), **dict(network.named_buffers())}
    shapes = {name: tensor.to("meta") for name, tensor in tensors.items()}
    with torch.no_grad():
        logits: Tensor = functional_call(network, shapes, torch.empty(1, in_channels, *size, device="meta"))
    return logits
