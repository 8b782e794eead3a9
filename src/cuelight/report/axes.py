"""Axes of a chart: their ticks, and the position of a value."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

_ROUND = (1.0, 2.0, 2.5, 5.0, 10.0)
_SMALL_SHARE = 0.1  # of the largest value; with a median below it, a curve is flat on a linear axis
_MOST_DECADES = 6


@dataclass(frozen=True)
class Axis:
    """The range and the ticks of an axis."""

    low: float
    high: float
    ticks: tuple[float, ...]
    logarithmic: bool = False

    def share(self, value: float) -> float:
        """Return the position of a value: 0 at ``low``, 1 at ``high``. On a logarithmic axis it must be above 0."""
        low, high, here = (math.log10(end) if self.logarithmic else end for end in (self.low, self.high, value))
        return min(max((here - low) / (high - low), 0.0), 1.0)


def axis_of(values: Sequence[float], count: int = 5) -> Axis:
    """Choose an axis for finite values; a logarithmic one if most would be at the bottom of a linear one."""
    low, high = min(values), max(values)
    median = sorted(values)[len(values) // 2]
    if low > 0 and median < _SMALL_SHARE * high:
        return _logarithmic(max(low, high / 10**_MOST_DECADES), high, count)
    if low == high:
        margin = abs(low) * 0.1 or 1.0
        low, high = low - margin, high + margin
    ticks = linear_ticks(low, high, count)
    return Axis(ticks[0], ticks[-1], ticks)


def linear_ticks(low: float, high: float, count: int) -> tuple[float, ...]:
    """Return about ``count`` round values, the first at or below ``low``, the last at or above ``high``.

    Examples:
        >>> linear_ticks(0.03, 0.97, 5)
        (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
    """
    rough = (high - low) / count
    magnitude = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * magnitude for factor in _ROUND if factor * magnitude >= rough * 0.999)
    digits = 12 - math.floor(math.log10(step))
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return tuple(round(index * step, digits) for index in range(first, last + 1))


def _logarithmic(low: float, high: float, count: int) -> Axis:
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for factors in ((1,), (1, 3), (1, 2, 5)):
        ticks = [factor * 10.0**decade for decade in decades for factor in factors]
        inside = [tick for tick in ticks if low * 0.999 <= tick <= high * 1.001]
        if len(inside) >= count - 2:
            break
    return Axis(low, high, tuple(inside[:: math.ceil(len(inside) / (count + 2))]), logarithmic=True)
