"""Segmentation networks by name: architectures of segmentation-models-pytorch around encoders of timm or of its own."""

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

from cuelight.errors import ConfigError, CuelightError, Problem, did_you_mean
from cuelight.training.backbones import is_backbone, is_built_for_one_size, near_names, weight_problems

ARCHITECTURES = (
    "Unet", "UnetPlusPlus", "MAnet", "Linknet", "FPN", "PSPNet", "DeepLabV3", "DeepLabV3Plus", "PAN", "UPerNet",
    "Segformer", "DPT",
)  # fmt: skip
_TIMM = "tu-"  # how the library marks an encoder of timm
_SET_ELSEWHERE = {
    "encoder_name": "encoder",
    "encoder_weights": "pretrained",
    "in_channels": "in_channels",
    "classes": "num_classes",
    "img_size": "input_size",
}
_REFUSED = {
    "activation": "the model gives logits; what they mean is decided where they are used.",
    "aux_params": "it adds an output, which nothing here is trained on.",
}
_PARAMS = "architecture_params"
_USUAL_STRIDE = 32
# What the two libraries raise for parts and arguments that do not fit each other.
_REFUSALS = (TypeError, ValueError, KeyError, AttributeError, AssertionError, IndexError)


def network_problems(
    architecture: str,
    encoder: str,
    pretrained: bool = False,
    architecture_params: Mapping[str, Any] | None = None,
    path: str = "",
) -> list[Problem]:
    """Check a network before it is built; no weights are made or read.

    Args:
        architecture: One of ``ARCHITECTURES``, in upper or lower case.
        encoder: A name of timm, or of an encoder that only segmentation-models-pytorch has.
        pretrained: Whether the encoder shall start from pretrained weights.
        architecture_params: More arguments of the network.
        path: The key path of the model's parameters, for the messages.

    Returns:
        One problem for each thing that is wrong.
    """
    params = architecture_params or {}
    if problems := _name_problems(architecture, encoder, pretrained, params, path):
        return problems
    try:
        with torch.device("meta"):
            smp.create_model(architecture, encoder_name=_library_name(encoder), encoder_weights=None, **params)
    except _REFUSALS as error:
        return [_refusal(error, architecture, encoder, params, path)]
    except RuntimeError:  # what a few do when they are built cannot be done without memory
        return []
    return []


def _name_problems(
    architecture: str, encoder: str, pretrained: bool, params: Mapping[str, Any], path: str
) -> list[Problem]:
    prefix = f"{path}." if path else ""
    problems = []
    if _full_name(architecture) is None:
        known = ", ".join(ARCHITECTURES)
        message = f'there is no architecture "{architecture}".{did_you_mean(architecture, ARCHITECTURES)}'
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
    pretrained: bool,
    num_classes: int,
    in_channels: int,
    input_size: tuple[int, int],
    architecture_params: Mapping[str, Any],
) -> nn.Module:
    """Make a segmentation network.

    Args:
        architecture: One of ``ARCHITECTURES``, in upper or lower case.
        encoder: A name of timm, or of an encoder that only segmentation-models-pytorch has.
        pretrained: Whether the encoder starts from pretrained weights; they are downloaded once.
        num_classes: Classes of a pixel.
        in_channels: Channels of the images.
        input_size: Height and width of the images in pixels.
        architecture_params: More arguments of the network.

    Returns:
        A module from images ``(N, in_channels, H, W)`` to logits ``(N, num_classes, H, W)``.

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
        network: nn.Module = smp.create_model(
            architecture,
            encoder_name=name,
            encoder_weights=_weights(name) if pretrained else None,
            in_channels=in_channels,
            classes=num_classes,
            **(sized | dict(architecture_params)),
        )
    except OSError as error:
        raise CuelightError(
            f"The pretrained weights of {encoder} could not be fetched: {error} Connect to the internet once, or set "
            "pretrained: false."
        ) from error
    except (*_REFUSALS, RuntimeError) as error:
        raise ConfigError([_refusal(error, architecture, encoder, architecture_params, path)]) from error
    _check_size(network, made_of, in_channels, input_size)
    return network


def learns_from_one_image(network: nn.Module, in_channels: int, size: tuple[int, int]) -> bool:
    """Return whether a network can be trained on batches of a single image.

    Some cannot, because they normalize over a batch what they have averaged over each image.

    Args:
        network: The network.
        in_channels: Channels of the images.
        size: Height and width of the images in pixels.

    Returns:
        Whether it can.
    """
    try:
        _run_without_memory(network.train(), in_channels, size)
    except ValueError:
        return False
    return True


def _refusal(error: Exception, architecture: str, encoder: str, params: Mapping[str, Any], path: str) -> Problem:
    """What the library says when parts and arguments do not fit each other, in words."""
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


def _encoder_problems(encoder: str, pretrained: bool, where: str) -> list[Problem]:
    plain = encoder.removeprefix(_TIMM)
    if is_backbone(plain):
        return weight_problems(plain, pretrained, where)
    if encoder in own_encoders:
        return []
    near = near_names(plain.partition(".")[0], sorted({*own_encoders, *timm.list_models()}))
    message = f'neither segmentation-models-pytorch nor timm has an encoder "{encoder}".{near}'
    return [Problem(message, where)]


def _library_name(encoder: str) -> str:
    """The name by which the library makes an encoder.

    Of those that both have, timm's has no layers that are not used, and newer weights.
    """
    plain = encoder.removeprefix(_TIMM)
    return f"{_TIMM}{plain}" if is_backbone(plain) else encoder


def _weights(name: str) -> str:
    if name.startswith(_TIMM):
        return "imagenet"  # any text stands for those that the name of the encoder tells
    known = list(own_encoders[name]["pretrained_settings"])
    return "imagenet" if "imagenet" in known else str(known[0])


def _check_size(network: nn.Module, made_of: str, in_channels: int, size: tuple[int, int]) -> None:
    """Refuse a size of images that the network does not take, or gives masks of another size for."""
    if _output_size(network, in_channels, size) == size:
        return
    fitting = " or ".join(f"{height} x {width}" for height, width in _fitting_sizes(network, in_channels, size))
    advice = (
        f"It takes {fitting}: set the size of the data." if fitting else f"Choose another encoder, or other {_PARAMS}."
    )
    message = f"{made_of} takes no images of {size[0]} x {size[1]} pixels. {advice}"
    raise ConfigError([Problem(message, "model.params.input_size")])


def _fitting_sizes(network: nn.Module, in_channels: int, size: tuple[int, int]) -> list[tuple[int, int]]:
    """Up to two sizes near another one that the network takes."""
    step = int(getattr(network.encoder, "output_stride", _USUAL_STRIDE))
    lower, upper = ([max(step, side // step * step) for side in size], [-(-side // step) * step for side in size])
    near = [lower, upper, *([more * side for side in upper] for more in (2, 4))]
    tried = dict.fromkeys((height, width) for height, width in near)
    return [other for other in tried if _output_size(network, in_channels, other) == other][:2]


def _output_size(network: nn.Module, in_channels: int, size: tuple[int, int]) -> tuple[int, int] | None:
    """The size of the masks; ``None`` if the network refuses the images."""
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
    """Give a network one image, without computing anything."""
    tensors = {**dict(network.named_parameters()), **dict(network.named_buffers())}
    shapes = {name: tensor.to("meta") for name, tensor in tensors.items()}
    with torch.no_grad():
        logits: Tensor = functional_call(network, shapes, torch.empty(1, in_channels, *size, device="meta"))
    return logits
