"""Splitting labelled samples into training, validation and test."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from cuelight.errors import DataError
from cuelight.utils.words import first_of

if TYPE_CHECKING:
    from typing_extensions import Self

logger = logging.getLogger(__name__)

_SMALLEST_CLASS_TO_SPLIT = 3
_MOST_NAMED = 10


class Divisible(Protocol):
    """Samples of which a subset can be taken."""

    def part(self, positions: Sequence[int] | NDArray[np.int64]) -> Self:
        """Return the samples at these positions, in this order."""


_Samples = TypeVar("_Samples", bound=Divisible)


def split_off_missing(
    splits: Mapping[str, _Samples], labels: Sequence[int], ratios: Mapping[str, float], seed: int, source: str
) -> dict[str, _Samples]:
    """Take missing splits from the training samples, stratified by the ``labels`` of these.

    ``ratios`` has the share of each split that may be missing; with 0 it is empty. ``source`` names the data in
    messages. ``DataError`` is raised if nothing would be left for training.
    """
    missing = {split: ratio for split, ratio in ratios.items() if split not in splits}
    if sum(missing.values()) >= 1:
        raise DataError(f"{source}: val_split and test_split leave no images for training; lower them.")
    parts = stratified_split(labels, list(missing.values()), seed)
    taken = {split: splits["train"].part(part) for split, part in zip(("train", *missing), parts, strict=True)}
    return {**splits, **taken}


def warn_of_missing_classes(split: str, labels: Iterable[int], class_names: Sequence[str]) -> None:
    """Log the names of the classes that none of a split's ``labels`` has."""
    present = set(labels)
    missing = [name for label, name in enumerate(class_names) if label not in present]
    if missing:
        logger.warning(
            "%s: no image of %d of %d classes: %s. %s",
            split, len(missing), len(class_names), first_of(missing, _MOST_NAMED),
            "They cannot be learnt." if split == "train" else "Its metrics do not measure them.",
        )  # fmt: skip


def rarest_labels(present: Sequence[NDArray[np.int64]]) -> list[int]:
    """Return for each sample the one of its ``present`` labels that the fewest samples have; -1 without any."""
    counts = np.bincount(np.concatenate([np.empty(0, np.int64), *present]))
    return [int(labels[counts[labels].argmin()]) if len(labels) else -1 for labels in present]


def stratified_split(labels: Sequence[int], ratios: Sequence[float], seed: int) -> list[NDArray[np.int64]]:
    """Divide samples so that every class has about the same share in each part.

    A class of at least three samples has one in every part whose ratio is not 0; a smaller one stays whole, in the
    first part.

    Args:
        labels: The class of each sample.
        ratios: The share of each part after the first, which gets the rest; their sum is less than 1.
        seed: Seed of the choice.

    Returns:
        Positions in ``labels`` of each part, in ascending order; the first part first.

    Examples:
        >>> [part.tolist() for part in stratified_split([0, 0, 0, 0, 1, 1, 1, 1], [0.25], seed=0)]
        [[0, 1, 2, 5, 6, 7], [3, 4]]
    """
    generator = np.random.default_rng(seed)
    parts: list[list[NDArray[np.int64]]] = [[] for _ in range(len(ratios) + 1)]
    for label in np.unique(labels):
        members = np.flatnonzero(np.asarray(labels) == label)
        generator.shuffle(members)
        sizes = _part_sizes(len(members), ratios)
        for part, chosen in zip(parts, np.split(members, np.cumsum(sizes)[:-1]), strict=True):
            part.append(chosen)
    return [np.sort(np.concatenate(part)) for part in parts]


def _part_sizes(count: int, ratios: Sequence[float]) -> list[int]:
    if count < _SMALLEST_CLASS_TO_SPLIT:
        return [count, *(0 for _ in ratios)]
    others = [max(1, round(count * ratio)) if ratio > 0 else 0 for ratio in ratios]
    while sum(others) >= count:  # the first part keeps at least one
        others[others.index(max(others))] -= 1
    return [count - sum(others), *others]
