"""Types of unquoted scalars: the core schema of YAML 1.2.

YAML 1.1, which PyYAML follows, reads ``on`` and ``no`` as booleans, ``1e-3`` as text, ``1:30`` as 90 and
``2024-01-01`` as a date. Here only ``true`` and ``false`` are booleans, every usual way to write a number
is a number, and all else is text.
"""

from __future__ import annotations

import re

Scalar = str | int | float | bool | None

_NAMED: dict[str, Scalar] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_INTEGER = re.compile(r"[-+]?[0-9]+")
_WITH_BASE = re.compile(r"0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")

# Python refuses to read integers of thousands of digits (a guard against quadratic time);
# nothing that a configuration counts comes near this.
_LONGEST_NUMBER = 100


def read_scalar(text: str) -> Scalar:
    """Read an unquoted scalar, given without surrounding blanks, as None, a boolean, a number or text.

    Examples:
        >>> [read_scalar(text) for text in ("1e-3", "10", "true", "on", "~")]
        [0.001, 10, True, 'on', None]
    """
    if text in _NAMED:
        return _NAMED[text]
    if len(text) > _LONGEST_NUMBER:
        return text
    if _INTEGER.fullmatch(text):
        return int(text)
    if _WITH_BASE.fullmatch(text):
        return int(text, 0)
    if _FLOAT.fullmatch(text):
        return float(text)
    return float(text.replace(".", "")) if _NOT_FINITE.fullmatch(text) else text
