"""Environment variables, read only where a file names them: ``${env:NAME}`` or ``${env:NAME:-default}``.

Their values are never shown: messages and saved files have the text of the file instead.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from cuelight.config.paths import join
from cuelight.errors import Problem

if TYPE_CHECKING:
    from typing_extensions import Self

_REFERENCE = re.compile(r"\$\$\{|\$\{(?P<inside>[^{}]*)(?P<end>\}?)")
_VARIABLE = re.compile(r"env:(?P<name>[A-Za-z_][A-Za-z0-9_]*)(:-(?P<default>.*))?", re.DOTALL)
_SHORTEST_SECRET = 4
_COMMON_WORDS = frozenset({"true", "false", "null", "none", "auto", "text", "name", "list", "number"})


class EnvironmentText(str):
    """Text with environment variables filled in; its repr is ``template``, the text of the file."""

    __slots__ = ("template",)
    template: str

    def __new__(cls, value: str, template: str) -> Self:
        """Create the text."""
        text = super().__new__(cls, value)
        text.template = template
        return text

    def __repr__(self) -> str:
        """Return the template, never the value."""
        return repr(self.template)

    def __reduce__(self) -> tuple[type[EnvironmentText], tuple[str, str]]:
        """Keep the template in copies."""
        return EnvironmentText, (str(self), self.template)


def fill_in(
    tree: object, environment: Mapping[str, str] | None = None
) -> tuple[Any, dict[tuple[str | int, ...], str], list[Problem]]:
    """Replace references to environment variables in the texts of a tree. ``$${`` stands for ``${``.

    Keys are not changed, and values are not expanded again. Returns the new tree, the original text of each changed
    path, and the problems.
    """
    variables = os.environ if environment is None else environment
    templates: dict[tuple[str | int, ...], str] = {}
    problems: list[Problem] = []

    def fill(node: object, path: tuple[str | int, ...]) -> object:
        if isinstance(node, dict):
            return {key: fill(value, (*path, key)) for key, value in node.items()}
        if isinstance(node, list):
            return [fill(value, (*path, index)) for index, value in enumerate(node)]
        if not isinstance(node, str) or "${" not in node:
            return node
        try:
            text = _REFERENCE.sub(lambda match: _value(match, variables), node)
        except ValueError as error:
            problems.append(Problem(str(error), join(path)))
            return node
        templates[path] = node
        return EnvironmentText(text, node)

    return fill(tree, ()), templates, problems


def has_reference(node: object) -> bool:
    """Return whether a tree contains an :class:`EnvironmentText`."""
    return next(_texts(node), None) is not None


def hide(message: str, node: object) -> str:
    """Replace the values of environment variables in ``node`` by their templates in a message from elsewhere.

    Common words and values shorter than four characters appear in many messages: they are replaced only where they are
    quoted or are the whole message.
    """
    templates: dict[str, str] = {}
    for text in _texts(node):
        for shown in (str(text), repr(str(text))[1:-1]):
            templates.setdefault(shown, text.template)
    templates.pop("", None)
    if not templates:
        return message
    # All at once: one value may be a part of another one, or of a template.
    longest_first = sorted(templates, key=len, reverse=True)
    return re.sub("|".join(map(_occurrence, longest_first)), lambda match: templates[match[0]], message)


def _texts(node: object) -> Iterator[EnvironmentText]:
    if isinstance(node, EnvironmentText):
        yield node
    for child in node.values() if isinstance(node, Mapping) else node if isinstance(node, list) else ():
        yield from _texts(child)


def _occurrence(value: str) -> str:
    """Return the pattern that finds a value in a message."""
    if len(value) >= _SHORTEST_SECRET and value.lower() not in _COMMON_WORDS:
        return re.escape(value)
    return rf"(?<![^\"']){re.escape(value)}(?![^\"'])"


def _value(match: re.Match[str], variables: Mapping[str, str]) -> str:
    """Return what a reference stands for. Raises ValueError if it cannot be filled in."""
    written = match[0]
    if written == "$${":
        return "${"
    variable = _VARIABLE.fullmatch(match["inside"])
    if not match["end"]:
        raise ValueError(f'"{written}" has no closing brace; expected ${{env:NAME}}')
    if variable is None:
        like = f"${{env:{match['inside']}}}" if re.fullmatch(r"\w+", match["inside"]) else "${env:NAME}"
        raise ValueError(
            f'"{written}" is not a reference; expected {like} for an environment variable, or $${{ for a literal ${{'
        )
    name, default = variable["name"], variable["default"]
    value = variables.get(name, default)
    if value is None:
        raise ValueError(f"the environment variable {name} is not set; set it, or write ${{env:{name}:-default}}")
    return value
