"""Durations such as ``90m``, ``1h30m``, ``00:12:00:00`` or ``{hours: 12}``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta

_CLOCK = re.compile(r"(?P<days>\d{1,4}):(?P<hours>\d{1,2}):(?P<minutes>\d{1,2}):(?P<seconds>\d{1,2})")
_UNITS = re.compile(
    r"(?:(?P<weeks>\d+(?:\.\d+)?)w)? ?(?:(?P<days>\d+(?:\.\d+)?)d)? ?(?:(?P<hours>\d+(?:\.\d+)?)h)? ?"
    r"(?:(?P<minutes>\d+(?:\.\d+)?)m(?:in)?)? ?(?:(?P<seconds>\d+(?:\.\d+)?)s)?"
)
_NAMES = ("weeks", "days", "hours", "minutes", "seconds")

EXPECTED = 'expected a duration such as "90m", "1h30m", "00:12:00:00" (days:hours:minutes:seconds) or {hours: 12}'


def read_duration(value: str | Mapping[str, float] | timedelta) -> timedelta:
    """Read a duration from text with units or as ``DD:HH:MM:SS``, or from a mapping of unit names to numbers.

    Units in text are w, d, h, m or min, and s. Raises ValueError with the accepted formats if it is none of these, or
    not longer than zero.

    Examples:
        >>> read_duration("1h30m").total_seconds()
        5400.0
        >>> read_duration("00:12:00:00") == read_duration({"hours": 12})
        True
    """
    if isinstance(value, timedelta):
        return value
    if isinstance(value, str):
        match = _CLOCK.fullmatch(value.strip()) or _UNITS.fullmatch(value.strip())
        parts = {name: float(amount) for name, amount in match.groupdict().items() if amount} if match else {}
    elif isinstance(value, Mapping) and all(
        name in _NAMES and isinstance(amount, (int, float)) and not isinstance(amount, bool) and amount >= 0
        for name, amount in value.items()
    ):
        parts = {name: float(amount) for name, amount in value.items()}
    else:
        parts = {}
    try:
        duration = timedelta(**parts)
    except (OverflowError, ValueError):
        raise ValueError(EXPECTED) from None
    if duration <= timedelta():
        raise ValueError(EXPECTED)
    return duration
