"""Numbers, sizes and durations as text."""

from __future__ import annotations

import math

_UNITS = ("bytes", "kB", "MB", "GB", "TB")
_PREFIXES = "kMGT"
_LARGE, _SMALL, _TINY = 10_000, 0.01, 1e-3
_HUGE = 1e15
_MINUTE = 60
_HOUR = 60 * _MINUTE


def number(value: float) -> str:
    """Write a measured value with four significant digits.

    Examples:
        >>> number(0.98667), number(12), number(1536.0), number(0.0001), number(2.02e9), number(float("nan"))
        ('0.9867', '12', '1536', '0.0001', '2.02 G', 'not a number')
    """
    if math.isnan(value):
        return "not a number"
    if math.isinf(value):
        return "infinite" if value > 0 else "-infinite"
    if abs(value) >= _LARGE:
        return tick(value)
    if value == int(value):
        return str(int(value))
    return f"{value:.4g}" if abs(value) < _SMALL else f"{value:#.4g}"


def tick(value: float) -> str:
    """Write a finite, round value beside an axis, where there is little room.

    Examples:
        >>> tick(0.2), tick(5000.0), tick(20_400.0), tick(2.005e9), tick(0.00035), tick(2.5e17)
        ('0.2', '5000', '20.4 k', '2.005 G', '3.5e-04', '2.5e17')
    """
    if 0 < abs(value) < _TINY:
        exponent = math.floor(math.log10(abs(value)) + 1e-9)
        return f"{value / 10.0**exponent:.3g}e{exponent:03}"
    if abs(value) < _LARGE:
        return f"{value:.6g}"
    if abs(value) >= _HUGE:
        return f"{value:.3g}".replace("e+", "e")
    power = min(int(math.log10(abs(value)) // 3), len(_PREFIXES))
    return f"{value / 1000**power:.4g} {_PREFIXES[power - 1]}"


def size(count: int) -> str:
    """Write a number of bytes, such as ``12 bytes`` or ``57.3 MB``."""
    value, unit = float(count), 0
    while value >= 1000 and unit < len(_UNITS) - 1:  # noqa: PLR2004
        value, unit = value / 1000, unit + 1
    return f"{value:.1f} {_UNITS[unit]}" if unit else f"{count} bytes"


def duration(seconds: float) -> str:
    """Write a duration, such as ``0.8 s``, ``1 min 15 s`` or ``2 h 1 min``."""
    whole = round(seconds)
    if whole < _MINUTE:
        return f"{seconds:.1f} s"
    if whole < _HOUR:
        return f"{whole // _MINUTE} min {whole % _MINUTE} s"
    return f"{whole // _HOUR} h {whole % _HOUR // _MINUTE} min"
