"""Check the parameters of a part against the signature of its class."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any, Literal, get_args, get_origin

from cuelight.config import Part, PartCheck
from cuelight.config.expectations import expected, members, type_problem
from cuelight.errors import Problem, did_you_mean
from cuelight.registry.kinds import Kind, NamesOf
from cuelight.registry.manifest import manifest
from cuelight.registry.signatures import parameters_of
from cuelight.registry.values import UnfitError, convert, part_kind

_MOST_LISTED = 20


def check_parameters(
    name: str,
    kind: Kind,
    parameters: Mapping[str, inspect.Parameter],
    takes_any: bool,
    given: Mapping[Any, Any],
    path: str,
    check_part: PartCheck,
) -> list[Problem]:
    """Return the unknown, reserved, unfit and missing parameters of a part; ``check_part`` checks parts within them."""
    problems: list[Problem] = []
    known = {key: parameter for key, parameter in parameters.items() if key not in kind.reserved}
    for key, value in given.items():
        place = f"{path}.params.{key}"
        if key in kind.reserved:
            problems.append(Problem(f'"{key}" cannot be set here: {kind.reserved[key]}.', place))
        elif key in known:
            problems += _check_value(known[key].annotation, value, place, check_part)
        elif not takes_any:
            problems.append(Problem(_unknown(name, str(key), list(known)), place))
    for key, parameter in known.items():
        if parameter.default is inspect.Parameter.empty and key not in given and key not in kind.supplied:
            message = f'{name} needs the parameter "{key}"; expected {expected(parameter.annotation)}.'
            problems.append(Problem(message, f"{path}.params.{key}"))
    return problems


def misfits(owner: type, given: Mapping[str, object]) -> dict[str, str]:
    """Return what is wrong with arguments of a constructor by its annotations: messages by name."""
    parameters, _ = parameters_of(owner)
    checked = {name: parameter.annotation for name, parameter in parameters.items() if name in given}
    wrong = {name: annotation for name, annotation in checked.items() if not fits(annotation, given[name])}
    return {name: f"expected {expected(annotation)}, got {given[name]!r}." for name, annotation in wrong.items()}


def fits(annotation: Any, value: object) -> bool:
    """Return whether a value is of a type, as a file can express it."""
    try:
        convert(annotation, value)
    except UnfitError:
        return False
    return True


def _check_value(annotation: Any, value: object, path: str, check_part: PartCheck) -> list[Problem]:
    nested = part_kind(annotation)
    if nested and value is not None:
        kind, is_list = nested
        entries = list(enumerate(value)) if isinstance(value, list) and is_list else []
        places = [(f"{path}.{index}", entry) for index, entry in entries] if is_list else [(path, value)]
        problems = [problem for place, entry in places for problem in _check_nested(kind, entry, place, check_part)]
        if problems:
            return problems
    try:
        converted = convert(annotation, value)
    except UnfitError:
        return _unknown_keys(annotation, value, path) or [Problem(type_problem(annotation, value), path)]
    return _unknown_name(annotation, converted, path)


def _unknown_keys(annotation: Any, value: object, path: str) -> list[Problem]:
    """Find the keys of a mapping that are not those of its type, if this lists them."""
    keys = [get_args(member)[0] for member in members(annotation) if get_origin(member) is dict]
    listed = [str(name) for key in keys if get_origin(key) is Literal for name in get_args(key)]
    unknown = [key for key in value if str(key) not in listed] if listed and isinstance(value, dict) else []
    known = f"Allowed keys: {', '.join(listed)}."
    return [
        Problem(f'unknown key "{key}".{did_you_mean(str(key), listed)} {known}', f"{path}.{key}") for key in unknown
    ]


def _unknown_name(annotation: Any, value: object, path: str) -> list[Problem]:
    """Find a text that is in none of the lists of names of its type; the class itself checks the whole name."""
    marks = [mark for mark in get_args(annotation)[1:] if isinstance(mark, NamesOf)]
    for mark in marks:
        names = manifest()["names"][mark.name]
        plain = str(value).partition(".")[0]
        if plain.lower() not in (name.lower() for name in names):
            listed = "" if len(names) > _MOST_LISTED else f" Expected one of: {', '.join(names)}."
            return [Problem(f'unknown {mark.name} "{value}".{did_you_mean(plain, names)}{listed}', path)]
    return []


def _check_nested(kind: str, entry: object, path: str, check_part: PartCheck) -> list[Problem]:
    if not isinstance(entry, dict):
        return [Problem(type_problem(Part, entry), path)]
    keys = list(Part.model_fields)
    problems = [
        Problem(
            f'unknown key "{key}".{did_you_mean(str(key), keys) or " Parameters go under params."}', f"{path}.{key}"
        )
        for key in entry
        if key not in keys
    ]
    name, parameters = entry.get("name"), entry.get("params")
    if "name" not in entry:
        return [*problems, Problem(f"this key is missing; expected the name of a {kind}", f"{path}.name")]
    if not isinstance(name, str) or not name:
        return [*problems, Problem(type_problem(str, name), f"{path}.name")]
    if parameters is not None and not isinstance(parameters, dict):
        return [*problems, Problem(type_problem(dict[str, Any], parameters), f"{path}.params")]
    return problems + check_part(kind, entry, path)


def _unknown(name: str, key: str, known: list[str]) -> str:
    message = f'{name} has no parameter "{key}".'
    if suggestion := did_you_mean(key, known):
        return message + suggestion
    return f"{message} It has {', '.join(known)}." if known else f"{message} It takes none."
