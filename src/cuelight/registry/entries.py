"""Entries of the manifest: made of classes, and read as signatures."""

from __future__ import annotations

import enum
import inspect
from collections.abc import Callable, Mapping
from typing import Any

from cuelight.registry.signatures import parameter_help, parameters_of, summary
from cuelight.registry.type_codes import decode_type, encode_type
from cuelight.registry.values import is_plain, plain


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


def signature_of(entry: Mapping[str, Any]) -> tuple[dict[str, inspect.Parameter], bool]:
    """Return the parameters of an entry, and whether other names are accepted, as ``parameters_of`` of the class."""
    parameters = {
        name: inspect.Parameter(
            name,
            inspect.Parameter.KEYWORD_ONLY,
            default=described.get("default", inspect.Parameter.empty),
            annotation=decode_type(described["type"]),
        )
        for name, described in entry["parameters"].items()
    }
    return parameters, entry["takes_any"]
