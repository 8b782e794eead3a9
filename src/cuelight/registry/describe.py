"""Describe a registered class for users: a summary, and each parameter with its type, default and help."""

from __future__ import annotations

import enum
import inspect
import types
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from cuelight.registry.kinds import Kind
from cuelight.registry.signatures import parameter_help, parameters_of, summary
from cuelight.registry.type_codes import decode_type, encode_type
from cuelight.registry.values import is_plain, part_kind, plain


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


def describe_class(factory: Callable[..., Any]) -> dict[str, Any]:
    """Return the entry of a class or function, as in the manifest."""
    texts = parameter_help(factory)
    parameters, takes_any = parameters_of(factory)
    described = {
        name: {"type": encode_type(parameter.annotation), "help": texts.get(name, ""), **_default(parameter.default)}
        for name, parameter in parameters.items()
    }
    return {"summary": summary(factory), "takes_any": takes_any, "parameters": described}


def _default(default: object) -> dict[str, Any]:
    if default is inspect.Parameter.empty:
        return {}
    if isinstance(default, enum.Enum):
        default = default.value
    return {"default": plain(default) if is_plain(default) else getattr(default, "__name__", str(default))}


def describe(name: str, entry: Mapping[str, Any], kind: Kind) -> PartInfo:
    """Describe a part by its entry in the manifest, without the parameters that only the run supplies."""
    infos = []
    for key, parameter in entry["parameters"].items():
        if key not in kind.reserved:
            has_default = "default" in parameter
            default = _default_text(parameter["default"]) if has_default else ""
            required = not has_default and key not in kind.supplied
            text = type_text(decode_type(parameter["type"]))
            infos.append(ParameterInfo(key, text, default, required, parameter["help"]))
    return PartInfo(name, entry["summary"], tuple(infos))


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
    if isinstance(default, str):
        return default or '""'
    if isinstance(default, (list, tuple)):
        return "[" + ", ".join(map(_default_text, default)) + "]"
    return repr(default)
