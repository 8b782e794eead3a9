"""Weights of classes: given in a file, or balanced by the number of images."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Literal, cast

from cuelight.errors import ConfigError, Problem, did_you_mean
from cuelight.utils.words import first_of

BALANCED = "balanced"
ClassWeights = Literal["balanced"] | list[float] | dict[str, float]

_EXAMPLE = "set a weight for each class, such as {cat: 2.0, dog: 0.5}."
_LEAST, _MOST = 1e-12, 1e12  # beyond them, sums of weights and losses could be 0 or infinite
_MOST_NAMED = 10


def resolve_class_weights(
    weights: ClassWeights,
    class_names: Sequence[str],
    counts: Sequence[int] | None,
    path: str,
    may_be_zero: bool = False,
) -> list[float]:
    """Return the weight of each class.

    Args:
        weights: A number for each class, in their order or by their names; or ``balanced``, as in scikit-learn: the
            number of images, divided by the number of classes and the number of images of the class.
        class_names: The name of each class.
        counts: The number of training images of each class, for ``balanced``; ``None`` if it is not known.
        path: The key path of the weights, for the messages.
        may_be_zero: Whether a weight may be 0, but not all of them.

    Raises:
        ConfigError: A class has no weight or, with ``balanced``, no image; there is no such class; or a weight is not
            a positive number.
    """
    if weights == BALANCED:
        return _balance(class_names, counts, path)
    if isinstance(weights, Mapping):
        given = {str(name): weight for name, weight in weights.items()}
        problems, order = [*_name_problems(given, class_names, path)], class_names
    else:
        given = {str(index): cast("float", weight) for index, weight in enumerate(weights)}
        problems, order = [], [str(index) for index in range(len(class_names))]
        if len(given) != len(order):
            problems = [Problem(f"expected a number for each of {len(order)} classes, got {len(given)}.", path)]
    if problems := [*problems, *_value_problems(given, path, may_be_zero)]:
        raise ConfigError(problems)
    return [given[key] for key in order]


def _balance(class_names: Sequence[str], counts: Sequence[int] | None, path: str) -> list[float]:
    if counts is None:
        message = f"balanced needs the number of training images of each class, which is not known; {_EXAMPLE}"
        raise ConfigError([Problem(message, path)])
    if missing := [name for index, name in enumerate(class_names) if not any(counts[index : index + 1])]:
        message = f"balanced needs training images of each class; there are none of {first_of(missing, _MOST_NAMED)}."
        raise ConfigError([Problem(f"{message} Add some, remove the class, or {_EXAMPLE}", path)])
    return [sum(counts) / (len(counts) * count) for count in counts]


def _name_problems(given: Mapping[str, float], class_names: Sequence[str], path: str) -> Iterator[Problem]:
    known = first_of(class_names, _MOST_NAMED)
    unknown = [name for name in given if name not in class_names]
    for name in unknown:
        message = f'there is no class "{name}".{did_you_mean(name, class_names)} The classes are: {known}.'
        yield Problem(message, f"{path}.{name}")
    missing = [name for name in class_names if name not in given]
    if missing and not unknown:
        yield Problem(f"expected a weight for each class; there is none for {first_of(missing, _MOST_NAMED)}.", path)


def _value_problems(given: Mapping[str, float], path: str, may_be_zero: bool) -> Iterator[Problem]:
    zero = "0 or " if may_be_zero else ""
    for key, weight in given.items():
        if not (_LEAST <= weight <= _MOST or (weight == 0 and may_be_zero)):
            message = f"expected {zero}a number greater than 0 (from {_LEAST:g} to {_MOST:g}), got {weight}."
            yield Problem(message, f"{path}.{key}")
    if given and not any(given.values()):
        yield Problem("expected a number above 0 for at least one class.", path)
