"""Check a tree against the schema and describe each problem in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from cuelight.config.expectations import expected, members, shown, type_problem
from cuelight.config.scalars import read_scalar
from cuelight.config.schema import Config, Part
from cuelight.errors import Problem, did_you_mean
from cuelight.utils.dot_paths import join
from cuelight.utils.environment import EnvironmentText, has_reference

_Loc = tuple[str | int, ...]


def check(tree: dict[Any, Any]) -> tuple[Config | None, list[Problem]]:
    """Return the configuration of a tree with environment variables filled in, or None; and one problem per key."""
    try:
        return Config.model_validate(tree), []
    except ValidationError as error:
        found = _schema_problems(tree, error)
    # The text of an environment variable may be meant as a number: read it as one where text does not fit.
    readable = [problem for problem in found if has_reference(problem.value)]
    for problem in readable:
        tree = _with(tree, problem.path, as_scalars(problem.value))
    if readable:
        try:
            return Config.model_validate(tree), []
        except ValidationError as error:
            remaining = {problem.path for problem in _schema_problems(tree, error)}
        found = [problem for problem in found if problem.path in remaining]
    problems: dict[_Loc, Problem] = {}
    # A misspelt key comes before the key that is missing because of it.
    for problem in sorted(found, key=lambda problem: problem.details["type"] == "missing"):
        problems.setdefault(problem.path, problem.problem())
    return None, list(problems.values())


def check_section(name: str, section: Mapping[str, Any]) -> tuple[BaseModel | None, list[Problem]]:
    """Check the content of one section, such as ``exporter``, as if it were in a file.

    Returns the section, or None, and what does not fit, with paths such as ``exporter.opset``.
    """
    part = {"name": "Any"}
    config, problems = check({"model": part, "data": part, name: dict(section)})
    return getattr(config, name, None), problems


def as_scalars(value: object) -> object:
    """Convert texts from environment variables to numbers, booleans or None where unquoted YAML would."""
    if isinstance(value, EnvironmentText):
        scalar = read_scalar(str(value).strip())
        return value if isinstance(scalar, str) else scalar
    if isinstance(value, dict):
        return {key: as_scalars(item) for key, item in value.items()}
    return [as_scalars(item) for item in value] if isinstance(value, list) else value


def _schema_problems(tree: Any, error: ValidationError) -> list[_SchemaProblem]:
    found = [_SchemaProblem(tree, details) for details in error.errors(include_url=False)]
    return [problem for problem in found if not problem.is_beside_the_section]


class _SchemaProblem:
    """A Pydantic error with the schema key that it is about.

    ``is_beside_the_section`` is true if the error comes from the ``bool`` of ``bool | SomeSection`` and a mapping was
    given.
    """

    def __init__(self, tree: Any, details: ErrorDetails) -> None:
        self.details = details
        self.annotation: Any = Config
        self.model: type[BaseModel] = Config
        self.value: Any = tree
        self.is_beside_the_section = False
        path: list[str | int] = []
        for step in details["loc"]:
            model = _model_in(self.annotation)
            if isinstance(self.value, list) and isinstance(step, int) and model:
                self.annotation, self.value = model, self.value[step]
            elif isinstance(self.value, dict) and model and step == model.__name__:
                self.annotation = model  # the member of a union that was tried
                continue
            elif isinstance(self.value, dict) and model and step == "bool":
                self.is_beside_the_section = True
                break
            elif isinstance(self.value, dict) and model and not _is_list(self.annotation):
                self.model = model
                field = model.model_fields.get(str(step))
                self.annotation = _annotation(field) if field else None
                self.value = self.value.get(step)
            else:
                break  # below a key, such as the member of a union that was tried
            path.append(step)
        self.path: _Loc = tuple(path)

    def problem(self) -> Problem:
        """Return the error in words."""
        kind = self.details["type"]
        if kind in {"extra_forbidden", "invalid_key"}:
            message = self._unknown_key()
        elif kind == "missing":
            message = f"this key is missing; expected {expected(self.annotation)}"
        elif kind in {"value_error", "string_too_short", "too_short"}:
            reason = self.details.get("ctx", {}).get("error", "expected a non-empty text")
            message = f"{reason}, got {shown(self.value)}."
        else:
            message = type_problem(self.annotation, self.value)
        return Problem(message, join(self.path))

    def _unknown_key(self) -> str:
        key = str(self.path[-1]) if self.path else ""
        known = list(self.model.model_fields)
        suggestion = did_you_mean(key, known)
        homes = [
            name
            for name, field in Config.model_fields.items()
            if (section := _model_in(_annotation(field))) and key in section.model_fields and section is not Part
        ]
        if suggestion:
            advice = suggestion
        elif issubclass(self.model, Part):
            advice = f" Parameters go under params; the keys here are {_listed(known)}."
        elif homes:
            advice = f" It belongs in {homes[0]}."
        elif key in Config.model_fields:
            advice = " It belongs at the top of the file, without indentation."
        else:
            advice = f" Expected {_listed(known)}."
        return f'unknown key "{key}".{advice}'


def _annotation(field: FieldInfo) -> Any:
    """Return a field's type with its bounds, which Pydantic stores separately."""
    return Annotated[(field.annotation, *field.metadata)] if field.metadata else field.annotation


def _model_in(annotation: Any) -> type[BaseModel] | None:
    """Return the section class in a type, directly or as the entries of a list."""
    for member in members(annotation):
        for candidate in (member, *getattr(member, "__args__", ())):
            if isinstance(candidate, type) and issubclass(candidate, BaseModel):
                return candidate
    return None


def _is_list(annotation: Any) -> bool:
    return any(getattr(member, "__origin__", None) is list for member in members(annotation))


def _with(tree: Any, path: _Loc, value: object) -> Any:
    """Return a copy of the tree with the value at a path replaced."""
    if not path:
        return value
    if isinstance(tree, list):
        return [_with(item, path[1:], value) if index == path[0] else item for index, item in enumerate(tree)]
    return {key: _with(item, path[1:], value) if key == path[0] else item for key, item in tree.items()}


def _listed(names: list[str]) -> str:
    return ", ".join(names[:-1]) + " or " + names[-1] if len(names) > 1 else "".join(names)
