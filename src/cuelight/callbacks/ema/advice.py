"""Whether the decay of an average suits the length of a training, and a decay that does."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cuelight.weights.averaging import decay_at

_SHORT_REACH = 4.0  # updates; an average over fewer follows the weights so closely that it has no effect
_LARGEST_INITIAL_SHARE = 0.05  # share of the initial weights
_MOST_UPDATES_FOR_ADVICE = 10**5  # updates, or an unknown number
_FEWEST_UPDATES = 10  # updates, below which no decay is suitable
_ADVISED_UPDATES, _ADVISED_SHARE = 5, 1 / 15
_LARGEST_TAU = 2000


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
    warning = _problem(updates, decay, tau)
    return warning and f"{warning} {_advice(updates, constant=tau is None)}"


def _problem(updates: int, decay: float, tau: float | None) -> str:
    limit, initial = 1 / (1 - decay), initial_share(updates, decay, tau)
    if limit < _SHORT_REACH:
        return f"has almost no effect: with decay {decay:g}, the average covers at most about {limit:.2g} updates."
    if initial > _LARGEST_INITIAL_SHARE:
        start = "from the start" if tau is None else f"and decay_tau {tau:g}"
        return (
            f"keeps too much of the initial weights: with decay {decay:g} {start}, they "
            f"still contribute {initial:.0%} after {updates} updates."
        )
    if reach(updates, decay, tau) < _SHORT_REACH and tau is not None:
        return (
            f"has almost no effect: decay_tau {tau:g} is too large for {updates} updates, and the decay reaches only "
            f"{decay_at(updates, decay, tau):.2g}."
        )
    return ""


def _advice(updates: int, constant: bool) -> str:
    if updates > _MOST_UPDATES_FOR_ADVICE:
        return "It is common to average over the last 5 to 10 % of the updates."
    if updates < _FEWEST_UPDATES:
        return f"{updates} updates are too few for an average. Train longer, or remove the callback."
    decay, tau = better_values(updates)
    covered = reach(updates, decay, tau)
    values = f"decay: {decay:g}, decay_tau: {tau}" + (", use_dynamic_decay: true" if constant else "")
    return f"To average over about the last {covered:.0f} updates ({covered / updates:.0%} of them), set {values}."


def better_values(updates: int) -> tuple[float, int]:
    """Return a decay and a ``decay_tau`` that cover about a fifteenth of the updates, but at least five updates."""
    decay = 1 - 1 / max(_ADVISED_UPDATES, updates * _ADVISED_SHARE)
    return float(f"{1 - float(f'{1 - decay:.2g}'):.10g}"), min(max(2, updates // 10), _LARGEST_TAU)


def reach(updates: int, decay: float, tau: float | None) -> float:
    """Compute how many updates the average covers at the end.

    This is one more than the mean age of the averaged weights; 1 / (1 - ``decay``) for a constant decay and a training
    without end.
    """
    return float(1 + np.cumprod(_decays(updates, decay, tau)[::-1]).sum())


def initial_share(updates: int, decay: float, tau: float | None) -> float:
    """Compute the share of the initial weights in the average at the end."""
    return float(_decays(updates, decay, tau).prod())


def _decays(updates: int, decay: float, tau: float | None) -> NDArray[np.float64]:
    """Return what ``decay_at`` returns for each update."""
    numbers = np.arange(1, updates + 1)
    return np.full(updates, decay) if tau is None else -decay * np.expm1(-numbers / tau)
