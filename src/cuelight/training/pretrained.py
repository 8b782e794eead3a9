"""Pretrained weights of timm: downloaded, or from a file."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Any

import timm
import torch
from huggingface_hub import constants, get_session
from timm.models import adapt_input_conv
from torch import nn

from cuelight.errors import CheckpointError, ConfigError, CuelightError, Problem
from cuelight.utils.redaction import reason_of
from cuelight.utils.run_directory import is_first_process
from cuelight.weights.initial import read_weights, require_finite, under_best_prefixes, what_fits

logger = logging.getLogger(__name__)

_PATH = "model.params.pretrained"


@contextmanager
def fetching(
    network: str, pretrained: bool | str, in_channels: int, params: Mapping[str, Any]
) -> Iterator[dict[str, Any]]:
    """Yield the arguments by which timm's ``create_model`` takes the weights of a file instead of its own.

    Nothing is yielded for weights that are downloaded, or for none. ``params`` are arguments of the network.

    Raises:
        ConfigError: If the file cannot be read, or does not fit the network.
        CuelightError: If the weights cannot be downloaded.
    """
    if not isinstance(pretrained, str):
        with _downloading(network, pretrained):
            yield {}
        return
    try:
        yield {"pretrained_cfg_overlay": _of_file(Path(pretrained), network, in_channels, params)}
    except CheckpointError as error:
        raise ConfigError([Problem(str(error), _PATH)]) from error
    except RuntimeError as error:  # of timm
        message = f"{pretrained}: these are not the weights of {network}: {reason_of(error)}"
        raise ConfigError([Problem(f"{message.rstrip('.')}. model.init_from takes what fits.", _PATH)]) from error


def checked(network: nn.Module, pretrained: bool | str) -> nn.Module:
    """Return a new network after a check of the weights of a file, without the copies of them that timm keeps."""
    if isinstance(pretrained, str):
        require_finite(network, pretrained)
    for part in network.modules():
        getattr(part, "pretrained_cfg", {}).pop("state_dict", None)
    return network


def _of_file(file: Path, network: str, in_channels: int, params: Mapping[str, Any]) -> dict[str, Any]:
    """Return what replaces timm's description of its own weights.

    timm drops the head, because it has no number of classes, and resizes what depends on the size of the images.
    """
    weights = read_weights(file)
    with torch.device("meta"):
        plain = timm.create_model(network, num_classes=0, in_chans=in_channels, **params)
    own = plain.state_dict()
    config: Any = plain.pretrained_cfg
    named = under_best_prefixes(own, weights)
    convolutions = config["first_conv"] or ()
    for name in [convolutions] if isinstance(convolutions, str) else convolutions:
        given, new = (tensors.get(f"{name}.weight") for tensors in (named, own))
        if given is not None and new is not None and given.ndim == new.ndim and given.shape[1] != new.shape[1]:
            channels = given.shape[1] * in_channels // new.shape[1]  # of the images of the file
            try:
                named[f"{name}.weight"] = adapt_input_conv(in_channels, given, channels)
            except NotImplementedError:  # of stems that are no plain convolution
                del named[f"{name}.weight"]
    _, lines = what_fits(own, named, file, misfit="so timm adapts it")
    for line in lines if is_first_process() else ():
        logger.info(line)
    return {"state_dict": named, "num_classes": -1, "input_size": (in_channels, *config["input_size"][1:])}


@contextmanager
def _downloading(network: str, pretrained: bool) -> Iterator[None]:
    """Report that the weights of a network cannot be downloaded as a ``CuelightError``.

    If the Hugging Face Hub does not answer one request, weights are taken from its cache alone; huggingface_hub would
    try for minutes. The variables of huggingface_hub, such as ``HF_HUB_ETAG_TIMEOUT`` in seconds, apply.
    """
    unreachable = _why_unreachable() if pretrained else None
    was_offline = constants.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = was_offline or unreachable is not None
    try:
        yield
    except OSError as error:
        if not pretrained:
            raise
        reason = (unreachable or reason_of(error)).rstrip(".")
        raise CuelightError(
            f"The pretrained weights of {network} cannot be downloaded: {reason}. Connect to the internet once; copy "
            f"{constants.HF_HOME} from a machine that has them, to here or to the folder that HF_HOME names; or set "
            "pretrained: false."
        ) from error
    finally:
        constants.HF_HUB_OFFLINE = was_offline


def _why_unreachable() -> str | None:
    try:
        status = get_session().head(constants.ENDPOINT, timeout=constants.HF_HUB_ETAG_TIMEOUT).status_code
    except Exception as error:  # noqa: BLE001 - which errors there are depends on the version of huggingface_hub
        return f"{constants.ENDPOINT} does not answer ({reason_of(error).rstrip('.')})"
    return f"{constants.ENDPOINT} answers with status {status}" if status >= HTTPStatus.INTERNAL_SERVER_ERROR else None
