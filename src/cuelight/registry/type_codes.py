"""Types of parameters as plain data, and back, without the libraries that some of them come from."""

from __future__ import annotations

import collections.abc
import datetime as dt
import enum
import numbers
import types
import typing
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import Field
from pydantic.fields import FieldInfo

from cuelight.config import Part
from cuelight.registry.kinds import NamesOf, PartKind

_SIMPLE: dict[str, Any] = {
    "any": Any, "bool": bool, "float": float, "int": int, "null": type(None), "number": numbers.Number, "part": Part,
    "path": Path, "str": str, "timedelta": dt.timedelta,
}  # fmt: skip
_GENERIC: dict[str, Any] = {
    "dict": dict, "iterable": collections.abc.Iterable, "list": list, "mapping": collections.abc.Mapping,
    "sequence": collections.abc.Sequence, "tuple": tuple,
}  # fmt: skip
_BOUNDS = ("ge", "gt", "le", "lt", "min_length", "max_length")


def encode_type(annotation: Any) -> Any:
    """Return a type as plain data. A type that a file cannot express keeps only its name."""
    known = _name_in(_SIMPLE, annotation) or _name_in(_GENERIC, annotation)
    if known:
        return known
    origin, args = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        marks = _encode_marks(args[1:])
        return {"type": encode_type(args[0]), **marks} if marks else encode_type(args[0])
    if origin in (Union, types.UnionType):
        return {"any_of": [encode_type(arg) for arg in args]}
    if isinstance(annotation, type) and issubclass(annotation, enum.Enum):
        return {"enum": annotation.__name__, "one_of": [member.value for member in annotation]}
    if generic := _name_in(_GENERIC, origin):
        return {generic: ["..." if arg is Ellipsis else encode_type(arg) for arg in args]}
    name = getattr(origin or annotation, "__name__", str(annotation))
    return {"one_of": list(args)} if origin is Literal else {"object": name}


def decode_type(code: Any) -> Any:
    """Return the type that :func:`encode_type` encoded; enumerations and objects as new classes of the same name."""
    if isinstance(code, str):
        return (_SIMPLE | _GENERIC)[code]
    if "enum" in code:
        return enum.Enum(code["enum"], {str(value): value for value in code["one_of"]})
    if "type" in code:
        return Annotated[(decode_type(code["type"]), *_decode_marks(code))]
    [(form, content)] = code.items()
    if form == "object":
        return type(content, (), {})
    if form == "one_of":
        return Literal[tuple(content)]
    args = tuple(Ellipsis if item == "..." else decode_type(item) for item in content)
    return Union[args] if form == "any_of" else _GENERIC[form][args]  # noqa: UP007 - of a computed tuple


def _name_in(table: dict[str, Any], annotation: Any) -> str | None:
    return next((name for name, known in table.items() if annotation is known), None)


def _encode_marks(marks: tuple[Any, ...]) -> dict[str, Any]:
    encoded: dict[str, Any] = {}
    for mark in marks:
        if isinstance(mark, PartKind):
            encoded["part"] = mark.name
        elif isinstance(mark, NamesOf):
            encoded["names_of"] = mark.name
        for bound in mark.metadata if isinstance(mark, FieldInfo) else ():
            encoded |= {key: getattr(bound, key) for key in _BOUNDS if hasattr(bound, key)}
    return encoded


def _decode_marks(code: dict[str, Any]) -> typing.Iterator[Any]:
    if "part" in code:
        yield PartKind(code["part"])
    if "names_of" in code:
        yield NamesOf(code["names_of"])
    if bounds := {key: code[key] for key in _BOUNDS if key in code}:
        yield Field(**bounds)
