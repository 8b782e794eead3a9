"""Describe a registered part for users: a summary, and each parameter with its type, default and help."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cuelight.registry.kinds import Kind

_TEXTS = {
    "any": "", "iterable": "Iterable", "mapping": "Mapping", "null": "None", "number": "Number", "part": "Part",
    "path": "Path", "sequence": "Sequence",
}  # fmt: skip


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


def describe(name: str, entry: Mapping[str, Any], kind: Kind) -> PartInfo:
    """Describe a part by its entry in the manifest, without the parameters that only the run supplies."""
    infos = []
    for key, parameter in entry["parameters"].items():
        if key not in kind.reserved:
            has_default = "default" in parameter
            default = _default_text(parameter["default"]) if has_default else ""
            required = not has_default and key not in kind.supplied
            text = type_text(parameter["type"])
            infos.append(ParameterInfo(key, text, default, required, parameter["help"]))
    return PartInfo(name, entry["summary"], tuple(infos))


def type_text(code: Any) -> str:
    """Write a type of the manifest as in Python, without module names; empty for any type.

    Examples:
        >>> type_text({"any_of": [{"list": ["float"]}, "null"]})
        'list[float] | None'
    """
    if isinstance(code, str):
        return _TEXTS.get(code, code)
    if "one_of" in code:
        return " | ".join(map(repr, code["one_of"]))
    if "type" in code:
        return f"{code['part']} part" if "part" in code else type_text(code["type"])
    [(form, content)] = code.items()
    return str(content) if form == "object" else _composed_text(form, [type_text(item) or "Any" for item in content])


def _composed_text(form: str, inner: list[str]) -> str:
    if form == "any_of":
        return " | ".join(dict.fromkeys(inner))
    if inner[0].endswith(" part"):
        return f"list of {inner[0]}s"
    return f"{_TEXTS.get(form, form)}[{', '.join(inner)}]"


def _default_text(default: object) -> str:
    if default is None or isinstance(default, bool):
        return {None: "null", True: "true", False: "false"}[default]
    if isinstance(default, str):
        return default or '""'
    if isinstance(default, (list, tuple)):
        return "[" + ", ".join(map(_default_text, default)) + "]"
    return repr(default)
