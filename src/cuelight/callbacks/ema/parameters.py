"""Checks of the parameters of ``EMACallback``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from cuelight.errors import ParameterError
from cuelight.registry.checking import misfits


def require_ranges(owner: type, parameters: Mapping[str, Any]) -> None:
    """Raise a ``ParameterError`` with all parameters that are out of the range in the signature of ``owner``."""
    messages = misfits(owner, parameters)
    device = parameters["device"]
    if "device" not in messages and device is not None and not _is_device(device):
        messages["device"] = f"expected a device such as cpu or cuda:0, got {device!r}."
    if messages:
        raise ParameterError(owner.__name__, messages)


def _is_device(name: str) -> bool:
    try:
        torch.device(name)
    except RuntimeError:
        return False
    return True
