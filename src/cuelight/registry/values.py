"""Check and convert the values of parameters by the types of a signature."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from functools import lru_cache
from typing import Annotated, Any, get_args, get_origin

from pydantic import ConfigDict, PydanticUserError, TypeAdapter, ValidationError
from pydantic_core import SchemaError

from cuelight.config.checking import as_scalars
from cuelight.config.environment import EnvironmentText, has_reference
from cuelight.config.expectations import members
from cuelight.registry.kinds import PartKind


class UnfitError(ValueError):
    """A value does not fit its type."""


def convert(annotation: Any, value: object) -> Any:
    """Convert a value of a file to what a parameter takes.

    Numbers stay numbers and texts texts, a list becomes a tuple where one is wanted, a text a path or a member
    of an enumeration, a mapping a part. The text of an environment variable becomes a number where one is wanted.

    Args:
        annotation: The type of the parameter.
        value: Mappings, lists and scalars.

    Returns:
        The converted value, with the values of environment variables in it.

    Raises:
        UnfitError: The value does not fit the type.
    """
    adapter = _adapter(annotation)
    candidates = [reveal(value)]
    if has_reference(value):
        candidates.append(reveal(as_scalars(value)))
    for candidate in candidates:
        if adapter is None:
            return candidate
        # The second way is for what only text can give in a file, such as paths and enumerations.
        for validate in (adapter.validate_python, _as_json(adapter)):
            with suppress(ValidationError, TypeError):
                return validate(candidate)
    raise UnfitError


def reveal(value: object) -> Any:
    """Replace texts from environment variables by their values.

    Args:
        value: Mappings, lists and scalars.

    Returns:
        A copy with plain texts.
    """
    if isinstance(value, dict):
        return {key: reveal(item) for key, item in value.items()}
    if isinstance(value, list):
        return [reveal(item) for item in value]
    return str(value) if isinstance(value, EnvironmentText) else value


def part_kind(annotation: Any) -> tuple[str, bool] | None:
    """Return whether a parameter takes parts.

    Args:
        annotation: The type of the parameter.

    Returns:
        The kind of the parts and whether it is a list of them; None if it takes no parts.
    """
    if get_origin(annotation) is Annotated:
        kinds = [item.name for item in get_args(annotation)[1:] if isinstance(item, PartKind)]
        return (kinds[0], False) if kinds else part_kind(get_args(annotation)[0])
    for argument in get_args(annotation):
        found = part_kind(argument)
        if found:
            kind, is_list = found
            return kind, is_list or (isinstance(get_origin(annotation), type) and not _is_union(annotation))
    return None


def _is_union(annotation: Any) -> bool:
    return len(list(members(annotation))) > 1


def _as_json(adapter: TypeAdapter[Any]) -> Callable[[object], Any]:
    return lambda value: adapter.validate_json(json.dumps(value), strict=True)


def _adapter(annotation: Any) -> TypeAdapter[Any] | None:
    """The validator of a type; None where the type says nothing that can be checked."""
    try:
        return _cached_adapter(annotation)
    except TypeError:  # not hashable
        return _new_adapter(annotation)


@lru_cache(maxsize=512)
def _cached_adapter(annotation: Any) -> TypeAdapter[Any] | None:
    return _new_adapter(annotation)


def _new_adapter(annotation: Any) -> TypeAdapter[Any] | None:
    configurations: tuple[ConfigDict | None, ...] = (ConfigDict(strict=True, arbitrary_types_allowed=True), None)
    for configuration in configurations:
        # Refused: a class with a configuration of its own, or one that Pydantic knows nothing about.
        with suppress(PydanticUserError, SchemaError, NameError, TypeError):
            return TypeAdapter(annotation, config=configuration)
    return None
