"""Check and convert parameter values by the types of a signature."""

from __future__ import annotations

import json
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, cast, get_args, get_origin

from pydantic import ConfigDict, PydanticUserError, TypeAdapter, ValidationError
from pydantic_core import SchemaError

from cuelight.config.checking import as_scalars
from cuelight.config.expectations import members
from cuelight.registry.kinds import PartKind
from cuelight.utils.environment import EnvironmentText, has_reference


class UnfitError(ValueError):
    """A value does not fit its type."""


def convert(annotation: Any, value: object) -> Any:
    """Convert a value from a file to the type of a parameter. Raises UnfitError if it does not fit.

    A list becomes a tuple, a text a path or an enumeration member, and a mapping a part, where the type asks for it.
    Numbers and texts are not converted into each other, except the text of an environment variable into a number, and
    into a boolean where one is allowed.
    """
    adapter = _adapter(annotation)
    candidates = [reveal(value)]
    if has_reference(value):
        candidates.insert(0 if bool in members(annotation) else 1, reveal(as_scalars(value)))
    for candidate in candidates:
        if adapter is None:
            return candidate
        with suppress(ValidationError, TypeError):
            return adapter.validate_python(candidate)
        # As JSON, a text also becomes a path or an enumeration member, which strict mode refuses otherwise.
        with suppress(ValidationError, TypeError):
            return adapter.validate_json(json.dumps(candidate), strict=True)
    raise UnfitError


def reveal(value: object) -> Any:
    """Return a copy of a tree in which texts from environment variables are plain texts with their values."""
    if isinstance(value, dict):
        return {key: reveal(item) for key, item in value.items()}
    if isinstance(value, list):
        return [reveal(item) for item in value]
    return str(value) if isinstance(value, EnvironmentText) else value


def is_plain(value: object) -> bool:
    """Return whether a YAML file can hold a value."""
    if type(value) in (list, tuple):
        return all(map(is_plain, cast("list[object]", value)))
    if type(value) is dict:
        return all(type(key) in (str, int) and is_plain(item) for key, item in value.items())
    return value is None or type(value) in (bool, int, float, str) or isinstance(value, Path)


def plain(value: Any) -> Any:
    """Return a value as a YAML file holds it: paths as text, tuples as lists."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return str(value) if isinstance(value, Path) else value


def part_kind(annotation: Any) -> tuple[str, bool] | None:
    """Return the kind of the parts that a parameter takes, and whether it takes a list; None if it takes no parts."""
    if get_origin(annotation) is Annotated:
        kinds = [item.name for item in get_args(annotation)[1:] if isinstance(item, PartKind)]
        return (kinds[0], False) if kinds else part_kind(get_args(annotation)[0])
    for argument in get_args(annotation):
        found = part_kind(argument)
        if found:
            kind, is_list = found
            is_union = len(list(members(annotation))) > 1
            return kind, is_list or (isinstance(get_origin(annotation), type) and not is_union)
    return None


def _adapter(annotation: Any) -> TypeAdapter[Any] | None:
    """Return the validator of a type; None if Pydantic cannot check the type."""
    try:
        return _cached_adapter(annotation)
    except TypeError:  # not hashable
        return _new_adapter(annotation)


def _new_adapter(annotation: Any) -> TypeAdapter[Any] | None:
    for configuration in (ConfigDict(strict=True, arbitrary_types_allowed=True, allow_inf_nan=False), None):
        # Pydantic raises for a class with its own configuration, and for a class that it does not know.
        with suppress(PydanticUserError, SchemaError, NameError, TypeError):
            return TypeAdapter(annotation, config=configuration)
    return None


_cached_adapter = lru_cache(maxsize=512)(_new_adapter)
