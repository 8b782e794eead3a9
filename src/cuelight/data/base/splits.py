"""Splitting labelled samples into training, validation and test."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from cuelight.errors import DataError, Problem
from cuelight.utils.words import first_of

if TYPE_CHECKING:
    from typing_extensions import Self

logger = logging.getLogger(__name__)

_SMALLEST_CLASS_TO_SPLIT = 3
_MOST_NAMED = 10
_MOST_GROUPS = 3

VAL_SPLIT = 0.15
"""The share of validation by default."""


class Divisible(Protocol):
    """Samples of which a subset can be taken."""

    def part(self, positions: Sequence[int] | NDArray[np.int64]) -> Self:
        """Return the samples at these positions, in this order."""


_Samples = TypeVar("_Samples", bound=Divisible)


def split_off_missing(
    splits: Mapping[str, _Samples],
    labels: Sequence[int],
    ratios: Mapping[str, float],
    seed: int,
    source: str,
    groups: Sequence[str] | None = None,
) -> dict[str, _Samples]:
    """Take missing splits from the training samples, stratified by the ``labels`` of these.

    ``ratios`` has the share of each split that may be missing; with 0 it is empty. Samples of one of the ``groups``
    stay together. ``source`` names the data in messages. ``DataError`` is raised if nothing would be left for training.
    """
    missing = {split: ratio for split, ratio in ratios.items() if split not in splits}
    if sum(missing.values()) >= 1:
        raise DataError(f"{source}: val_split and test_split leave no images for training; lower them.")
    parts = _divide(labels, groups, list(missing.values()), seed, source)
    taken = {split: splits["train"].part(part) for split, part in zip(("train", *missing), parts, strict=True)}
    return {**splits, **taken}


def take_fold(
    train: _Samples, labels: Sequence[int], folds: int, fold: int, seed: int, source: str, groups: Sequence[str] | None
) -> dict[str, _Samples]:
    """Return ``val``, one of several folds of the training samples, and ``train``, the others.

    The folds are stratified by the ``labels``. Samples of one of the ``groups`` stay together. ``DataError`` is raised
    if there are fewer samples or groups than folds.
    """
    if len(labels) < folds:
        raise DataError(f"{source}: expected at least {folds} training images, one for each fold, got {len(labels)}.")
    if groups is None:
        parts = _stratified_folds(labels, folds, seed)
    else:
        parts = grouped_split(labels, groups, [1 / folds] * (folds - 1), seed, source)
    others = np.sort(np.concatenate([*parts[:fold], *parts[fold + 1 :]]))
    return {"train": train.part(others), "val": train.part(parts[fold])}


def split_problems(params: Mapping[str, Any], path: str) -> list[Problem]:
    """Report wrong ``folds``, ``fold`` and ``group_by``; ``path`` is the key path of ``params``."""
    folds, fold, group_by = params.get("folds"), params.get("fold", 0), params.get("group_by")
    problems = []
    if fold >= (folds or 1):
        message = (
            f"expected 0 to {folds - 1}, got {fold}." if folds else "it needs the number of folds, such as folds: 5."
        )
        problems.append(Problem(message, f"{path}.fold"))
    if folds and params.get("val_split", VAL_SPLIT) != VAL_SPLIT:
        message = "it excludes folds, of which one is for validation. Remove val_split or folds."
        problems.append(Problem(message, f"{path}.val_split"))
    try:
        if group_by is not None and (count := re.compile(group_by).groups) != 1:
            expected = "expected a regular expression with one group in parentheses, such as person([0-9]+)_"
            problems.append(Problem(f"{expected}; {group_by} has {count}.", f"{path}.group_by"))
    except re.error as error:
        problems.append(Problem(f"{group_by} is not a regular expression: {error}.", f"{path}.group_by"))
    return problems


def warn_of_shared_groups(groups: Mapping[str, Iterable[str]]) -> None:
    """Log the groups that are in more than one split."""
    splits_of: dict[str, list[str]] = {}
    for split, names in groups.items():
        for name in dict.fromkeys(names):
            splits_of.setdefault(name, []).append(split)
    shared = [f"{name} ({', '.join(splits)})" for name, splits in splits_of.items() if len(splits) > 1]
    if shared:
        logger.warning(
            "%d of %d groups are in more than one split, so results are too good: %s",
            len(shared), len(splits_of), first_of(shared, _MOST_GROUPS),
        )  # fmt: skip


def warn_of_missing_classes(split: str, labels: Iterable[int], class_names: Sequence[str], what: str = "image") -> None:
    """Log the names of the classes that none of a split's ``labels`` has; ``what`` has one."""
    present = set(labels)
    missing = [name for label, name in enumerate(class_names) if label not in present]
    if missing:
        logger.warning(
            "%s: no %s of %d of %d classes: %s. %s",
            split, what, len(missing), len(class_names), first_of(missing, _MOST_NAMED),
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


def grouped_split(
    labels: Sequence[int], groups: Sequence[str], ratios: Sequence[float], seed: int, source: str
) -> list[NDArray[np.int64]]:
    """Divide samples like :func:`stratified_split`, but all samples of a group are in the same part.

    The groups, in random order, the largest first, go one by one to the part that lacks most of their classes; the last
    ones to parts that would be empty. ``DataError`` is raised if there are fewer groups than parts.

    Examples:
        >>> [part.tolist() for part in grouped_split([0, 0, 0, 0, 0, 0], list("aaabbc"), [0.4], seed=0, source="x")]
        [[0, 1, 2, 5], [3, 4]]
    """
    classes, names = (np.unique(values, return_inverse=True)[1] for values in (labels, groups))
    totals, sizes = np.bincount(classes), np.bincount(names)
    members = np.split(np.argsort(names, kind="stable"), np.cumsum(sizes)[:-1])
    lacking = np.tile([[1.0 - sum(ratios)], *([ratio] for ratio in ratios)], len(totals))
    used = [part for part, shares in enumerate(lacking) if shares[0] > 0]
    if len(members) < len(used):
        raise DataError(
            f"{source}: expected at least {len(used)} groups, one for each split or fold, got {len(members)}."
        )
    parts: list[list[NDArray[np.int64]]] = [[] for _ in lacking]
    shuffled = np.random.default_rng(seed).permutation(len(members))
    for number, group in enumerate(shuffled[np.argsort(-sizes[shuffled], kind="stable")]):
        shares = np.bincount(classes[members[group]], minlength=len(totals)) / totals
        empty = [part for part in used if not parts[part]]
        # Rounded, because sums differ between machines in the last digits.
        gains = {part: round(float(shares @ lacking[part]), 9) for part in used}
        best = max(empty if len(members) - number <= len(empty) else used, key=gains.__getitem__)
        lacking[best] -= shares
        parts[best].append(members[group])
    return [np.sort(np.concatenate([np.empty(0, np.int64), *part])) for part in parts]


def _divide(
    labels: Sequence[int], groups: Sequence[str] | None, ratios: Sequence[float], seed: int, source: str
) -> list[NDArray[np.int64]]:
    if groups is None:
        return stratified_split(labels, ratios, seed)
    return grouped_split(labels, groups, ratios, seed, source)


def _stratified_folds(labels: Sequence[int], folds: int, seed: int) -> list[NDArray[np.int64]]:
    """Deal the samples out to the folds, class by class, as cards are dealt to players."""
    order = np.random.default_rng(seed).permutation(len(labels))
    order = order[np.argsort(np.asarray(labels)[order], kind="stable")]
    return [np.sort(order[fold::folds]) for fold in range(folds)]
