"""Describe a registered class for users: a summary, and each parameter with its type, default and help."""

from __future__ import annotations

import enum
import inspect
import types
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from cuelight.registry.kinds import Kind
from cuelight.registry.signatures import parameter_help, parameters_of, summary
from cuelight.registry.values import part_kind


@dataclass(frozen=True)
class ParameterInfo:
    """One parameter that a file may set.

    Args:
        name: Its name.
        annotation: Its type as text, such as ``float | None``; empty if unknown.
        default: Its default as YAML text; empty if it has none.
        required: Whether the file must set it.
        help: Its description from the docstring.
    """

    name: str
    annotation: str
    default: str
    required: bool
    help: str


@dataclass(frozen=True)
class PartInfo:
    """A registered part.

    Args:
        name: Its registered name.
        summary: The first sentence of its docstring.
        parameters: The parameters that a file may set.
    """

    name: str
    summary: str
    parameters: tuple[ParameterInfo, ...]


def describe(name: str, factory: Callable[..., Any], kind: Kind) -> PartInfo:
    """Describe a class, without the parameters that only the run supplies."""
    texts = parameter_help(factory)
    infos = []
    for key, parameter in parameters_of(factory)[0].items():
        if key not in kind.reserved:
            has_default = parameter.default is not inspect.Parameter.empty
            default = _default_text(parameter.default) if has_default else ""
            required = not has_default and key not in kind.supplied
            infos.append(ParameterInfo(key, type_text(parameter.annotation), default, required, texts.get(key, "")))
    return PartInfo(name, summary(factory), tuple(infos))


def type_text(annotation: Any) -> str:
    """Write a type without module names; empty for Any.

    Examples:
        >>> type_text(list[float] | None)
        'list[float] | None'
    """
    if annotation is Any:
        return ""
    if nested := part_kind(annotation):
        optional = " | None" if type(None) in get_args(annotation) else ""
        return (f"list of {nested[0]} parts" if nested[1] else f"{nested[0]} part") + optional
    args = get_args(annotation)
    if get_origin(annotation) is Annotated:
        return type_text(args[0])
    if get_origin(annotation) in (Union, types.UnionType):
        return " | ".join(dict.fromkeys(type_text(arg) or "Any" for arg in args))
    return _member_text(annotation)


def _member_text(annotation: Any) -> str:
    origin, args = get_origin(annotation), get_args(annotation)
    if origin is Literal or (isinstance(annotation, type) and issubclass(annotation, enum.Enum)):
        return " | ".join(repr(choice) for choice in args or [member.value for member in annotation])
    name = getattr(origin or annotation, "__name__", str(annotation))
    if annotation is type(None):
        return "None"
    if not args:
        return name
    inner = (
        "..." if arg is Ellipsis else "[...]" if isinstance(arg, list) else type_text(arg) or "Any" for arg in args
    )
    return f"{name}[{', '.join(inner)}]"


def _default_text(default: object) -> str:
    if default is None or isinstance(default, bool):
        return {None: "null", True: "true", False: "false"}[default]
    if isinstance(default, enum.Enum):
        return str(default.value)
    if isinstance(default, str):
        return default or '""'
    if isinstance(default, (list, tuple)):
        return "[" + ", ".join(map(_default_text, default)) + "]"
    if callable(default):
        return getattr(default, "__name__", "a function")
    return repr(default)
