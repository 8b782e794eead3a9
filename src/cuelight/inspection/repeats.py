"""Images that occur more than once: as the same file, or so that nobody would see a difference."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from cuelight.inspection.reading import Seen
from cuelight.utils.words import first_of

Rows = list[dict[str, Any]]

_MOST_BITS = 4  # of 64 that may differ
_LEAST_CORRELATION = 0.99  # of the small images
_ROWS = 512  # compared at once
_MOST_LISTED, _MOST_NAMED = 50, 5
_TINY = 1e-6


class Repeat(NamedTuple):
    """Two images that are the same: their places, and whether their files are."""

    first: int
    second: int
    is_exact: bool


class Repeats:
    """The images that occur twice, within a split or in two."""

    def __init__(self, splits: Mapping[str, Sequence[Seen]]) -> None:
        self.images = [image for seen in splits.values() for image in seen]
        self.split_of = [split for split, seen in splits.items() for _ in seen]
        self.found = find_repeats(self.images)

    def also_in_train(self, split: str) -> tuple[set[int], set[int]]:
        """Return the images of a split that are in the training split too: as the same file, and looking the same."""
        exact: set[int] = set()
        near: set[int] = set()
        for repeat in self.found:
            splits = {self.split_of[place]: place for place in (repeat.first, repeat.second)}
            if split != "train" and splits.keys() == {"train", split}:
                (exact if repeat.is_exact else near).add(splits[split])
        return exact, near - exact

    def sentences(self) -> Iterator[str]:
        """Yield what is wrong with repeated images."""
        for split in dict.fromkeys(self.split_of):
            exact, near = self.also_in_train(split)
            if count := len(exact | near):
                total = self.split_of.count(split)
                yield (
                    f"{count} of {total} images of {split} ({count / total:.1%}) are in the training split too "
                    f"({len(exact)} the same file, {len(near)} look the same): its metrics are too good."
                )
        if equal := [one for one in self.found if one.is_exact and self._differ(one)]:
            named = first_of([f"{self._name(one.first)} and {self._name(one.second)}" for one in equal], _MOST_NAMED)
            yield f"{len(equal)} pairs of equal images have different labels: {named}."
        within = sum(self.split_of[one.first] == self.split_of[one.second] for one in self.found if one.is_exact)
        if within:
            yield f"{within} pairs of equal images are in the same split."

    def listed(self) -> Rows:
        """Return the pairs, those in two splits first."""
        ordered = sorted(self.found, key=lambda one: (self.split_of[one.first] == self.split_of[one.second], one))
        return [
            {
                "splits": " and ".join(dict.fromkeys([self.split_of[one.first], self.split_of[one.second]])),
                "first": self._name(one.first),
                "second": self._name(one.second),
                "same": "file" if one.is_exact else "look",
                "labels": "different" if self._differ(one) else "the same",
            }
            for one in ordered[:_MOST_LISTED]
        ]

    def _name(self, place: int) -> str:
        return self.images[place].name

    def _differ(self, repeat: Repeat) -> bool:
        """Return whether two images have other classes."""
        return sorted(self.images[repeat.first].classes) != sorted(self.images[repeat.second].classes)


def find_repeats(images: Sequence[Seen]) -> list[Repeat]:
    """Return the pairs of images that look the same.

    The perceptual hashes of both (DCT of the image in grey) differ in at most 4 of 64 bits, and their small copies have
    a correlation of at least 0.99. Mirrored or cut images are not found.
    """
    if not images:
        return []
    signs = np.where(np.stack([image.bits for image in images]), np.float32(1), np.float32(-1))
    small = np.stack([image.small for image in images]).astype(np.float32)
    small -= small.mean(axis=1, keepdims=True)
    small /= np.maximum(np.linalg.norm(small, axis=1, keepdims=True), _TINY)
    return [repeat for start in range(0, len(images), _ROWS) for repeat in _repeats(images, signs, small, start)]


def _repeats(
    images: Sequence[Seen], signs: NDArray[np.float32], small: NDArray[np.float32], start: int
) -> Iterator[Repeat]:
    length = signs.shape[1]
    same_bits = (length + signs[start : start + _ROWS] @ signs.T) / 2
    for row, second in np.argwhere(same_bits >= length - _MOST_BITS).tolist():
        first = start + row
        if first < second and _is_alike(small[first], small[second]):
            yield Repeat(first, second, images[first].content == images[second].content)


def _is_alike(first: NDArray[np.float32], second: NDArray[np.float32]) -> bool:
    """Return whether two small images are; those of a single grey value have no correlation."""
    return bool(first @ second >= _LEAST_CORRELATION) or not (first.any() or second.any())
