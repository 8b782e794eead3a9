"""Values of a configuration, looked up by key."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from cuelight.utils import dot_paths
from cuelight.utils.redaction import REDACTED, redacted

_PARAMETERS = ".params"


def look_up(tree: Mapping[str, Any], keys: Sequence[str]) -> dict[str, Any]:
    """Return the value of each key, without secrets; a section gives one entry for each value in it."""
    shown = redacted(tree)
    found: dict[str, Any] = {}
    for key in keys:
        found |= dot_paths.flattened(_value(shown, key), key)
    return found


def missing_keys(tree: Mapping[str, Any], keys: Sequence[str]) -> dict[int, str]:
    """Return what is wrong with each key that does not exist, by its position in the list."""
    reasons = ((position, _problem_of(tree, key)) for position, key in enumerate(keys))
    return {position: reason for position, reason in reasons if reason}


def _value(shown: Mapping[str, Any], key: str) -> Any:
    try:
        return dot_paths.get(shown, key)
    except dot_paths.PathError:  # it exists, but inside a section that is secret as a whole
        return REDACTED


def _problem_of(tree: Mapping[str, Any], key: str) -> str:
    if not key:
        return "expected a key of the configuration, such as trainer.epochs, got an empty text"
    try:
        dot_paths.get(tree, key)
    except dot_paths.PathError as error:
        reason = str(error) if str(error).endswith((".", "?")) else f"{error}."
        return f'expected a key of the configuration, got "{key}": {reason}{_advice(tree, key)}'
    return ""


def _advice(tree: Mapping[str, Any], key: str) -> str:
    ends = [path for path in dot_paths.flattened(tree) if path.endswith(f".{key}")]
    if ends:
        return f' Did you mean "{ends[0]}"?'
    above = key.rpartition(".")[0]
    if above.endswith(_PARAMETERS) and dot_paths.exists(tree, above.removesuffix(_PARAMETERS)):
        return " To log a parameter that has its default value, set it in the file."
    return ""
