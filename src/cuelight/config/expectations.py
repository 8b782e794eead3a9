"""Describe in words what a type accepts and what was given instead."""

from __future__ import annotations

import collections.abc
import enum
import math
import numbers
import types
from collections.abc import Iterable, Iterator, Mapping
from pathlib import PurePath
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from cuelight.config.scalars import read_scalar
from cuelight.errors import did_you_mean
from cuelight.utils.environment import EnvironmentText

_SINGULAR = {
    int: "a whole number", float: "a number", str: "text", bool: "true or false",
    None: "null", type(None): "null", PurePath: "a path", numbers.Number: "a number",
}  # fmt: skip
_PLURAL = {int: "whole numbers", float: "numbers", str: "texts", PurePath: "paths", Any: "values"}
_BOUNDS = (("ge", "at least"), ("gt", "more than"), ("le", "at most"), ("lt", "less than"))
_SPOKEN_BOOLEANS = {"on": "true", "yes": "true", "y": "true", "off": "false", "no": "false", "n": "false"}
_LONGEST = 60


def type_problem(annotation: Any, value: object) -> str:
    """Return a message such as ``expected a whole number, got the text "ten".``, with a hint if there is one."""
    return f"expected {expected(annotation)}, got {shown(value)}.{_hint(annotation, value)}"


def expected(annotation: Any) -> str:
    """Describe what a type accepts, including its bounds.

    Examples:
        >>> expected(int | None)
        'a whole number or null'
    """
    phrases = list(dict.fromkeys(_phrases(annotation)))
    if "a number" in phrases and "a whole number" in phrases:
        phrases.remove("a whole number")
    if "null" in phrases:
        phrases.remove("null")
        phrases.append("null")
    return _either(phrases)


def shown(value: object) -> str:
    """Describe a given value, such as ``the text "ten"``. Values of environment variables stay hidden."""
    if isinstance(value, EnvironmentText):
        return f"the text of {_cut(value.template)}"
    if value is None:
        return "nothing (null)"
    if isinstance(value, str):
        return f'the text "{_cut(value)}"'
    if isinstance(value, Mapping):
        return "an empty mapping" if not value else f"the mapping {_cut(_flow(value))}"
    return f"the list {_cut(_flow(value))}" if isinstance(value, list) else _flow(value)


def members(annotation: Any) -> Iterator[Any]:
    """Yield the members of a union, or the type itself, without ``Annotated``."""
    origin = get_origin(annotation)
    if origin is Annotated:
        yield from members(get_args(annotation)[0])
    elif origin in (Union, types.UnionType):
        for member in get_args(annotation):
            yield from members(member)
    else:
        yield annotation


def _phrases(annotation: Any) -> Iterator[str]:
    origin, args = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        bounds = _bounds(args[1:])
        for phrase in _phrases(args[0]):
            yield f"{phrase}{bounds}" if "number" in phrase else phrase
    elif origin in (Union, types.UnionType):
        inner = [phrase for member in args for phrase in _phrases(member)]
        yield from [phrase for phrase in inner if not phrase.startswith("an object")] or inner
    elif origin is Literal or (isinstance(annotation, type) and issubclass(annotation, enum.Enum)):
        choices = args or tuple(member.value for member in annotation)
        yield from (f'"{choice}"' if isinstance(choice, str) else _flow(choice) for choice in choices)
    elif origin is tuple or annotation is tuple:
        yield _tuple(args)
    elif _is(origin or annotation, collections.abc.Mapping):
        is_plain = bool(args) and (args[0] is int or args[1] is float)
        yield f"a mapping from {_plural(args[0])} to {_plural(args[1])}" if is_plain else "a mapping"
    elif _is(origin or annotation, collections.abc.Iterable) and not _is(annotation, str, BaseModel):
        yield f"a list of {_plural(args[0])}" if args else "a list"
    else:
        yield _single(annotation)


def _single(annotation: Any) -> str:
    if annotation is Any or annotation is object:
        return "a value"
    if _is(annotation, BaseModel):
        keys = ["name", "params"] if "params" in annotation.model_fields else []
        return "a mapping" + (f" with {_either(keys, 'and')}" if keys else "")
    if _is(annotation, PurePath):
        return "a path"
    name = getattr(annotation, "__name__", str(annotation))
    return _SINGULAR.get(annotation, f"an object of the type {name} (which a file cannot express)")


def _tuple(args: tuple[Any, ...]) -> str:
    if not args:
        return "a list"
    if args[-1] is Ellipsis:
        return f"a list of {_plural(args[0])}"
    kinds = {_plural(arg) for arg in args}
    return f"a list of {len(args)} {kinds.pop() if len(kinds) == 1 else 'values'}"


def _plural(annotation: Any) -> str:
    kinds = list(members(annotation))
    if float in kinds:
        return "numbers"
    if len(kinds) == 1:
        kind = PurePath if _is(kinds[0], PurePath) else kinds[0]
        if _is(kind, BaseModel):
            return "mappings" + expected(kind).removeprefix("a mapping")
        if kind in _PLURAL:
            return _PLURAL[kind]
    return f"entries that are each {expected(annotation)}"


def _bounds(metadata: Iterable[object]) -> str:
    flat: list[object] = []
    for item in metadata:
        flat += item.metadata if isinstance(item, FieldInfo) else [item]
    words = [
        f"{word} {getattr(item, name)}"
        for name, word in _BOUNDS
        for item in flat
        if getattr(item, name, None) is not None
    ]
    if not words:
        return ""
    return (" of " if words[0].startswith("at") else " ") + " and ".join(words)


def _hint(annotation: Any, value: object) -> str:
    kinds = list(members(annotation))
    if value is None:
        return " The value after the colon is missing."
    if isinstance(value, float) and not math.isfinite(value):
        return " It must be finite."
    entries = value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else ()
    if any(isinstance(entry, float) and not math.isfinite(entry) for entry in entries):
        return " Each number must be finite."
    if isinstance(value, (int, float)) and str in kinds:
        return f' Write "{_flow(value)}" in quotes if text is meant.'
    if isinstance(value, str) and not isinstance(value, EnvironmentText):
        return _text_hint(kinds, value)
    return ""


def _text_hint(kinds: list[Any], value: str) -> str:
    """Return a hint for text where another type was expected."""
    if bool in kinds and value.lower() in _SPOKEN_BOOLEANS:
        return f" Write {_SPOKEN_BOOLEANS[value.lower()]}: {value} is text here, as in YAML 1.2."
    sections = [kind for kind in kinds if _is(kind, BaseModel)]
    if any("params" in section.model_fields for section in sections) and value.isidentifier():
        return f" Write {{name: {value}}}."
    if sections:
        return " A colon needs a space after it." if ":" in value.replace("://", "") else ""
    choices = [str(choice) for kind in kinds if get_origin(kind) is Literal for choice in get_args(kind)]
    return did_you_mean(value, choices) if choices else _without_quotes(kinds, value)


def _without_quotes(kinds: list[Any], value: str) -> str:
    """Return a hint for a number or boolean that was written as text."""
    meant = read_scalar(value.replace("_", "") if value[:1].isdigit() else value)
    is_number = isinstance(meant, (int, float)) and not isinstance(meant, bool)
    if (is_number and (float in kinds or (int in kinds and isinstance(meant, int)))) or (
        isinstance(meant, bool) and bool in kinds
    ):
        return f" Write {_flow(meant)}." if "_" in value else f" Write {value} without quotes."
    return ""


def _flow(value: object) -> str:
    """Write a value as one line of YAML."""
    if isinstance(value, EnvironmentText):
        return value.template
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {_flow(item)}" for key, item in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(_flow, value)) + "]"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return str(value)


def _cut(text: str) -> str:
    text = text.replace("\n", " ")
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."


def _either(phrases: list[str], word: str = "or") -> str:
    if len(phrases) <= 1:
        return "".join(phrases)
    long = len(phrases) > 2 or any(words in phrases[0] for words in ("number of", " from ", " or "))  # noqa: PLR2004
    comma = "," if long else ""
    return f"{', '.join(phrases[:-1])}{comma} {word} {phrases[-1]}"


def _is(annotation: object, *kinds: type) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, kinds)
