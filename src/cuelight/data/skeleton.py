"""The named points of an object, and how they belong together."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cuelight.utils.words import checked_names

Pairs = tuple[tuple[int, int], ...]

_SIDE = re.compile(r"(?<![a-z])(left|right)(?![a-z])", re.IGNORECASE)


@dataclass(frozen=True)
class Skeleton:
    """The named points of an object.

    Args:
        names: The name of each point.
        edges: The points that are joined by a line, as pairs of indices from 0.
        flip_pairs: The points that change places in a mirrored image, such as the left and the right hand.

    Raises:
        ValueError: There is no name, a name is there twice, an index is not one of a point, or ``flip_pairs`` has an
            index twice.
    """

    names: tuple[str, ...]
    edges: Pairs = ()
    flip_pairs: Pairs = ()

    def __post_init__(self) -> None:
        if not self.names:
            raise ValueError("expected at least one point")
        if len(set(self.names)) < len(self.names):
            raise ValueError(f"expected a different name for each point, got {', '.join(self.names)}")
        for name, pairs in (("skeleton", self.edges), ("flip_pairs", self.flip_pairs)):
            for index in (index for pair in pairs for index in pair):
                if not 0 <= index < len(self.names):
                    raise ValueError(f"{name}: there is no point {index}; expected 0 to {len(self.names) - 1}")
        if repeated := repeated_index(self.flip_pairs):
            raise ValueError(repeated)

    @property
    def mirrored(self) -> list[int]:
        """For each point, the index of the one that is in its place in a mirrored image."""
        order = list(range(len(self.names)))
        for first, second in self.flip_pairs:
            order[first], order[second] = second, first
        return order

    def to_dict(self) -> dict[str, Any]:
        """Convert to plain types for a checkpoint."""
        return {"names": list(self.names), "edges": list(self.edges), "flip_pairs": list(self.flip_pairs)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Skeleton:
        """Restore from the values of :meth:`to_dict`."""
        edges, pairs = (to_pairs(values[name]) for name in ("edges", "flip_pairs"))
        return cls(checked_names(values["names"]), edges, pairs)


def to_pairs(values: Sequence[Sequence[int]]) -> Pairs:
    """Return pairs of indices as tuples."""
    return tuple((int(first), int(second)) for first, second in values)


def repeated_index(pairs: Sequence[Sequence[int]]) -> str | None:
    """Return what is wrong with ``flip_pairs`` that have an index twice; ``None`` if each is there once."""
    indices = [index for pair in pairs for index in pair]
    twice = [index for index in indices if indices.count(index) > 1]
    return f"flip_pairs: expected each point once, but {twice[0]} is in them twice" if twice else None


def pairs_by_name(names: Sequence[str]) -> Pairs:
    """Return the pairs of names that differ only in left and right.

    Examples:
        >>> pairs_by_name(["nose", "left_eye", "right_eye"])
        ((1, 2),)
    """
    sides = {name: _SIDE.sub(lambda side: _other(side[0]), name) for name in names}
    return tuple(
        (place, names.index(other))
        for place, (name, other) in enumerate(sides.items())
        if other in names and place < names.index(other)
    )


def _other(side: str) -> str:
    return ("right" if side.islower() else "Right") if side.lower() == "left" else "left" if side.islower() else "Left"
