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
            "never updates the average: the training ends before the first update. Lower update_starting_at_step or "
            "update_every_n_steps."
        )
    last = decay_at(updates, decay, tau)
    warning = ""
    if _reach(decay) < _SHORT_REACH:
        warning = (
            f"has almost no effect: with decay {decay:g}, the average covers only about {_reach(decay):.2g} updates."
        )
    elif _reach(last) < _SHORT_REACH:
        warning = (
            f"has almost no effect: decay_tau {tau:g} is too large for {updates} updates, and the decay reaches only "
            f"{last:.2g}."
        )
    elif tau is None and decay**updates > _MUCH:
        warning = (
            f"averages over more updates than the training has: with decay {decay:g} from the start, the initial "
            f"weights still contribute {decay**updates:.0%} after {updates} updates."
        )
    if warning and updates > _LONG:
        return f"{warning} It is common to average over the last 5 to 10 % of the updates."
    better, sooner = 1 - 1 / max(10, updates / 15), max(1, updates // 10)
    advice = f"To average over the last 5 to 10 % of the training, set decay: {better:.4g}, decay_tau: {sooner}."
    return warning and f"{warning} {advice}"


def _reach(decay: float) -> float:
    return 1 / (1 - decay)
