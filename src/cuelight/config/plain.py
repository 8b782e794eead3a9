"""Convert values from Python to the plain data that a YAML file can hold."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from cuelight.config.composing import DEEPEST, MOST_VALUES
from cuelight.errors import Problem
from cuelight.utils.dot_paths import join
from cuelight.utils.environment import EnvironmentText


def to_plain(value: object, problems: list[Problem], where: str = "", path: tuple[object, ...] = ()) -> Any:
    """Copy a value into dicts, lists, texts, numbers, booleans and None.

    What YAML cannot hold becomes None and is added to ``problems``, with ``where`` as its source.
    """
    if not path and _is_too_large(value):
        problems.append(Problem(f"there are more than {MOST_VALUES} values", where=where))
        return None
    if value is None or isinstance(value, (bool, int, float, str, os.PathLike)):
        return _plain_scalar(value)
    if len(path) > DEEPEST:
        message = f"values are nested more than {DEEPEST} levels deep"
    elif isinstance(value, Mapping):
        if all(isinstance(key, (str, int)) and not isinstance(key, bool) for key in value):
            return {_plain_scalar(key): to_plain(item, problems, where, (*path, key)) for key, item in value.items()}
        message = "a key is neither text nor a whole number"
    elif isinstance(value, (list, tuple)):
        return [to_plain(item, problems, where, (*path, index)) for index, item in enumerate(value)]
    else:
        kind = type(value).__name__
        message = f"a value of the type {kind} cannot be written in YAML; expected text, numbers, lists and mappings"
    problems.append(Problem(message, join(path), where))
    return None


def _is_too_large(value: object) -> bool:
    """Return whether a tree has too many values, each counted as often as it occurs."""
    waiting, count = [value], 0
    while waiting and count <= MOST_VALUES:
        node = waiting.pop()
        count += 1
        if isinstance(node, (Mapping, list, tuple)):
            waiting += node.values() if isinstance(node, Mapping) else node
    return count > MOST_VALUES


def _plain_scalar(value: str | float | os.PathLike[str] | None) -> Any:
    """Return the built-in type of a scalar that may be of a subclass, such as a NumPy float."""
    if isinstance(value, (EnvironmentText, os.PathLike)):
        return value.template if isinstance(value, EnvironmentText) else os.fspath(value)
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return str.__str__(value)
    return int(value) if isinstance(value, int) else float(value)
