"""The locations of the tensors of a module that are averaged."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from torch import nn

from cuelight.errors import CuelightError, did_you_mean
from cuelight.weights.pruned_names import is_mask


@dataclass(frozen=True)
class Place:
    """The location of a tensor in a module; ``holder`` is the module's own dictionary of parameters or buffers."""

    name: str
    holder: dict[str, Any]
    key: str


def places_to_average(module: nn.Module, average_buffers: bool | Sequence[str]) -> Iterator[Place]:
    """Yield the location of each parameter and each chosen buffer of a module, shared ones once.

    Args:
        module: The module.
        average_buffers: Whether to choose buffers; or name patterns of those to choose. Non-persistent buffers and
            pruning masks are never chosen.
    """
    seen: set[int] = set()
    for place in _all_places(module, average_buffers):
        tensor = place.holder[place.key]
        if tensor is None or id(tensor) in seen:
            continue
        seen.add(id(tensor))
        yield place


def _all_places(module: nn.Module, average_buffers: bool | Sequence[str]) -> Iterator[Place]:
    for prefix, part in module.named_modules():
        start = f"{prefix}." if prefix else ""
        # Only these dictionaries show cheaply that a tensor was replaced; no public method does.
        parameters, buffers = part._parameters, part._buffers  # noqa: SLF001
        passing = part._non_persistent_buffers_set  # noqa: SLF001
        for key in parameters:
            yield Place(start + key, parameters, key)
        for key in buffers:
            place = Place(start + key, buffers, key)
            if key not in passing and not is_mask(key, parameters) and _is_chosen(place, average_buffers):
                yield place


def _is_chosen(place: Place, average_buffers: bool | Sequence[str]) -> bool:
    if isinstance(average_buffers, bool):
        return average_buffers
    return any(fnmatchcase(place.name, pattern) for pattern in average_buffers)


def check_patterns(module: nn.Module, average_buffers: bool | Sequence[str]) -> None:
    """Raise a ``CuelightError`` if a name pattern matches no buffer of a module."""
    names = [name for name, _ in module.named_buffers()]
    for pattern in [] if isinstance(average_buffers, bool) else average_buffers:
        if not any(fnmatchcase(name, pattern) for name in names):
            some = ", ".join(names[:3]) or "none"
            raise CuelightError(
                f'average_buffers: no buffer matches "{pattern}".{did_you_mean(pattern, names)} Buffers of this '
                f"module: {some}{', ...' if len(names) > len(names[:3]) else ''}."
            )
