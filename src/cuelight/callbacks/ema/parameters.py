"""Checks of the parameters of ``EMACallback``."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from numbers import Integral, Real
from typing import Any

import torch

from cuelight.errors import ParameterError


def _is_device(name: str) -> bool:
    try:
        torch.device(name)
    except RuntimeError:
        return False
    return True


_RANGES: dict[str, tuple[type, Callable[[Any], bool], str]] = {
    "decay": (Real, lambda value: 0 <= value < 1, "a number of at least 0.0 and less than 1.0"),
    "decay_tau": (Real, lambda value: 0 < value < math.inf, "a number above 0"),
    "update_every_n_steps": (Integral, lambda value: value >= 1, "a whole number of at least 1"),
    "update_starting_at_step": (Integral, lambda value: value >= 0, "a whole number of at least 0"),
    "device": (str, _is_device, "a device such as cpu or cuda:0"),
}


def require_ranges(parameters: Mapping[str, Any]) -> None:
    """Raise a ``ParameterError`` with all parameters that are out of their range."""
    if messages := dict(_out_of_range(parameters)):
        raise ParameterError("EMACallback", messages)


def _out_of_range(parameters: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for name, (kind, fits, expected) in _RANGES.items():
        value = parameters[name]
        if value is None and name == "device":
            continue
        if not isinstance(value, kind) or isinstance(value, bool) or not fits(value):
            yield name, f"expected {expected}, got {value!r}."
