"""Check the parameters of a part against the signature of its class."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from cuelight.config import Part, PartCheck
from cuelight.config.expectations import expected, type_problem
from cuelight.errors import Problem, did_you_mean
from cuelight.registry.kinds import Kind
from cuelight.registry.signatures import parameters_of
from cuelight.registry.values import UnfitError, convert, part_kind


def check_parameters(
    name: str, kind: Kind, factory: Callable[..., Any], given: Mapping[Any, Any], path: str, check_part: PartCheck
) -> list[Problem]:
    """Return the unknown, reserved, unfit and missing parameters of a part; ``check_part`` checks parts within them."""
    problems: list[Problem] = []
    parameters, takes_any = parameters_of(factory)
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
        convert(annotation, value)
    except UnfitError:
        return [Problem(type_problem(annotation, value), path)]
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
