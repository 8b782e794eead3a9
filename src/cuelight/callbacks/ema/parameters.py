"""Checks of the parameters of ``EMACallback``."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from numbers import Integral, Real
from typing import Any

import torch

from cuelight.errors import ParameterError
from cuelight.weights.averaging import decay_at

_SHORT_REACH = 5
_MUCH = 0.05
_LONG = 10**5


def _is_device(name: str) -> bool:
    try:
        torch.device(name)
    except RuntimeError:
        return False
    return True


_RANGES: dict[str, tuple[type, Callable[[Any], bool], str]] = {
    "decay": (Real, lambda value: 0 <= value < 1, "a number from 0.0 up to, not including, 1.0"),
    "decay_tau": (Real, lambda value: 0 < value < math.inf, "a number above 0"),
    "update_every_n_steps": (Integral, lambda value: value >= 1, "a whole number from 1 on"),
    "update_starting_at_step": (Integral, lambda value: value >= 0, "a whole number from 0 on"),
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


def training_warning(updates: int, decay: float, tau: float | None) -> str:
    """Check whether the decay suits the length of the training.

    Args:
        updates: The number of updates in the training.
        decay: The final decay.
        tau: The time constant of a growing decay, in updates; ``None`` if the decay is constant.

    Returns:
        The problem and better values, as the end of a sentence; empty if the decay is suitable.
    """
    if updates < 1:
        return (
            "never averages: the training ends before the first update. Lower update_starting_at_step or "
            "update_every_n_steps."
        )
    last = decay_at(updates, decay, tau)
    warning = ""
    if _reach(decay) < _SHORT_REACH:
        warning = (
            f"averages next to nothing: with decay {decay:g}, it reaches back over about {_reach(decay):.2g} updates."
        )
    elif _reach(last) < _SHORT_REACH:
        warning = (
            f"averages next to nothing: decay_tau {tau:g} is long for {updates} updates, and lets the decay grow to "
            f"{last:.2g} only."
        )
    elif tau is None and decay**updates > _MUCH:
        warning = (
            f"averages over more than this training: with decay {decay:g} from the start, the first weights still have "
            f"a share of {decay**updates:.0%} after {updates} updates."
        )
    if warning and updates > _LONG:
        return f"{warning} Usual is to average over the last 5 to 10 % of the updates."
    better, sooner = 1 - 1 / max(10, updates / 15), max(1, updates // 10)
    return warning and f"{warning} For the last 5 to 10 % of the training: decay: {better:.4g}, decay_tau: {sooner}."


def _reach(decay: float) -> float:
    return 1 / (1 - decay)
