"""Environment variables, read only where a file names them: ``${env:NAME}`` or ``${env:NAME:-default}``.

Their values are never shown: messages and saved files have the text of the file instead.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from cuelight.errors import Problem
from cuelight.utils.dot_paths import join
from cuelight.utils.hidden_values import hide_value, show_values, without_hidden_values
from cuelight.utils.redaction import hide_users

if TYPE_CHECKING:
    from typing_extensions import Self

_REFERENCE = re.compile(r"\$\$\{|\$\{(?P<inside>[^{}]*)(?P<end>\}?)")
_NAME = re.compile(r"(?<!\$)\$\{env:(\w+)")
_VARIABLE = re.compile(r"env:(?P<name>[A-Za-z_][A-Za-z0-9_]*)(:-(?P<default>.*))?", re.DOTALL)


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

    Keys are not changed, and values are not expanded again. From now on, the values of variables and the users in URLs
    are hidden in messages, except in a name, which may be that of a file.

    Returns the new tree, the original text of each changed path, and the problems.
    """
    variables = os.environ if environment is None else environment
    templates: dict[tuple[str | int, ...], str] = {}
    problems: list[Problem] = []

    def fill(node: object, path: tuple[str | int, ...]) -> object:
        if isinstance(node, dict):
            return {key: fill(value, (*path, key)) for key, value in node.items()}
        if isinstance(node, list):
            return [fill(value, (*path, index)) for index, value in enumerate(node)]
        if not isinstance(node, str):
            return node
        if "${" not in node:
            hide_users(node)
            return node
        try:
            text = _REFERENCE.sub(lambda match: _value(match, variables), node)
        except ValueError as error:
            problems.append(Problem(str(error), join(path)))
            return node
        used = {name: variables[name] for name in _NAME.findall(node) if name in variables}  # a default is in the file
        if path[-1:] == ("name",) and "params" not in path:
            show_values(text, *used.values())
        elif used:
            hide_value(text, node)
            for name, value in used.items():
                hide_value(value, f"${{env:{name}}}")
        hide_users(text)
        templates[path] = node
        return EnvironmentText(text, node)

    return fill(tree, ()), templates, problems


def with_references(tree: object) -> Any:
    """Return a tree with references in place of hidden values, also in its keys, as it may be written to a file."""
    return _mapped(tree, without_hidden_values)


def without_references(tree: object) -> Any:
    """Return what :func:`with_references` was given; a reference to a variable that is not set stays."""
    return _mapped(tree, lambda text: str(fill_in(text)[0]))


def _mapped(tree: Any, change: Callable[[str], str]) -> Any:
    if isinstance(tree, str):
        return change(tree)
    if isinstance(tree, dict):
        return {_mapped(key, change): _mapped(value, change) for key, value in tree.items()}
    return type(tree)(_mapped(value, change) for value in tree) if type(tree) in (list, tuple) else tree


def has_reference(node: object) -> bool:
    """Return whether a tree contains an :class:`EnvironmentText`."""
    return next(_texts(node), None) is not None


def _texts(node: object) -> Iterator[EnvironmentText]:
    if isinstance(node, EnvironmentText):
        yield node
    for child in node.values() if isinstance(node, Mapping) else node if isinstance(node, list) else ():
        yield from _texts(child)


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
