"""Any value as plain data, for YAML, checkpoints, trackers and the comparison of runs."""

from __future__ import annotations

import dataclasses
import os
import re
from argparse import Namespace
from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Any

_DEEPEST = 32
_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")


def as_plain(value: object, depth: int = 0) -> Any:
    """Copy a value into dicts with text as keys, lists, texts, numbers, booleans and None.

    Anything else becomes text, without the memory address of an object, which differs in every run.

    Examples:
        >>> as_plain({"shape": (1, 2), "loss": len, "of": object()})
        {'shape': [1, 2], 'loss': 'builtins.len', 'of': '<object object>'}
    """
    if value is None or (isinstance(value, (bool, int, float, str)) and not isinstance(value, Enum)):
        return _scalar(value)
    children = _children(value)
    if depth > _DEEPEST or children is None:
        return _text(value)
    if isinstance(children, Mapping):
        return {_clean(str(_scalar(key))): as_plain(child, depth + 1) for key, child in children.items()}
    return [as_plain(child, depth + 1) for child in children]


def _children(value: Any) -> Mapping[Any, Any] | Sequence[Any] | None:
    if isinstance(value, Mapping):
        return value
    if isinstance(value, Namespace):
        return vars(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    if isinstance(value, (set, frozenset)):
        return sorted(value, key=repr)
    is_list = isinstance(value, Sequence) and not isinstance(value, (str, bytes, bytearray))
    return value if is_list else None


def _scalar(value: object) -> object:
    """Return a scalar as its built-in type; text from the environment becomes its template."""
    if isinstance(value, str):
        return _clean(str(getattr(value, "template", value)))
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return int(value)
    return float(value) if isinstance(value, float) else value


def _text(value: Any) -> Any:
    if isinstance(value, Enum):
        return f"{type(value).__name__}.{value.name}"
    if isinstance(value, os.PathLike):
        return _clean(os.fsdecode(value))
    if getattr(value, "shape", None) == () and callable(getattr(value, "item", None)):
        return as_plain(value.item(), _DEEPEST)  # a number of NumPy or torch
    if callable(value) and hasattr(value, "__qualname__"):
        return f"{value.__module__}.{value.__qualname__}"
    try:
        return _clean(_ADDRESS.sub("", str(value)))
    except Exception:  # noqa: BLE001 - the class may raise anything
        return f"<{type(value).__qualname__} object that cannot be written as text>"


def _clean(text: str) -> str:
    """Return text that can be encoded; undecodable bytes of a file name become escapes."""
    return text.encode("utf-8", "backslashreplace").decode()
