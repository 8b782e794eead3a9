"""Images that occur more than once: as the same file, or so that nobody would see a difference."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from cuelight.inspection.reading import ImageRecord
from cuelight.utils.words import first_of

Rows = list[dict[str, Any]]

_MOST_BITS = 4  # of 64 that may differ
_LEAST_CORRELATION = 0.99  # of the small images
_ROWS = 512  # compared at once
_MOST_NAMED = 5
_TINY = 1e-6
_WHY_NOT = {
    "train": "its metrics are too good",
    "val": "the best checkpoint and its thresholds are chosen by images that also measure it",
}


class Duplicate(NamedTuple):
    """An image that is the same as an earlier one: their places, and whether their files are the same."""

    first: int
    second: int
    is_exact: bool


class Duplicates:
    """The images that occur twice, within a split or in two."""

    def __init__(self, splits: Mapping[str, Sequence[ImageRecord]]) -> None:
        self.splits = splits
        self.images = [image for records in splits.values() for image in records]
        self.split_of = [split for split, records in splits.items() for _ in records]
        self.found = find_duplicates([list(records) for records in splits.values()])

    def between(self, first: str, second: str) -> tuple[int, int]:
        """Return how many images of the second split are in the first one too: as the same file, and nearly."""
        exact = [
            one.is_exact for one in self.found
            if self.split_of[one.first] == first and self.split_of[one.second] == second
        ]  # fmt: skip
        return sum(exact), len(exact) - sum(exact)

    def sentences(self) -> Iterator[str]:
        """Yield what is wrong with images that occur twice."""
        for second in self.splits:
            for first in self.splits:
                exact, near = self.between(first, second)
                if first == second:
                    if exact:
                        yield f"{_images(exact)} of {second} {_is(exact)} the same as another one of {second}."
                elif exact + near:
                    total = len(self.splits[second])
                    yield (
                        f"{exact + near} of {total} images of {second} ({(exact + near) / total:.1%}) are in {first} "
                        f"too ({exact} the same file, {near} nearly the same): {_WHY_NOT.get(first, '')}."
                    )
        if differ := [one for one in self.found if one.is_exact and self._differ(one)]:
            named = first_of([f"{self._name(one.second)} and {self._name(one.first)}" for one in differ], _MOST_NAMED)
            yield f"{_images(len(differ))} {_is(len(differ))} the same as one with other labels: {named}."

    def listed(self) -> Rows:
        """Return the pairs, those in two splits first."""
        ordered = sorted(self.found, key=lambda one: (self.split_of[one.first] == self.split_of[one.second], one))
        return [
            {
                "splits": " and ".join(dict.fromkeys([self.split_of[one.first], self.split_of[one.second]])),
                "first": self._name(one.first),
                "second": self._name(one.second),
                "same": "file" if one.is_exact else "nearly",
                "labels": "different" if self._differ(one) else "the same",
            }
            for one in ordered
        ]

    def _name(self, place: int) -> str:
        return self.images[place].name

    def _differ(self, one: Duplicate) -> bool:
        """Return whether two images have other classes."""
        return sorted(self.images[one.first].classes) != sorted(self.images[one.second].classes)


def find_duplicates(splits: Sequence[Sequence[ImageRecord]]) -> list[Duplicate]:
    """Return the first earlier image of each split that is the same as an image; places count over all splits.

    The perceptual hashes of both (DCT of the image in grey) differ in at most 4 of 64 bits, and their small copies have
    a correlation of at least 0.99. Mirrored or cut images are not found, and colors are not compared.
    """
    images = [image for records in splits for image in records]
    starts = np.cumsum([0, *map(len, splits)]).tolist()
    found = []
    for start, end in pairwise(starts):
        if start == end:  # no image of the split can be read
            continue
        near, files = _first_near(images, start, end), dict[str, int]()
        for place in range(start, len(images)):
            first = files.get(images[place].content)
            if first is not None or near[place] >= 0:
                found.append(Duplicate(int(near[place]) if first is None else first, place, first is not None))
            if place < end:
                files.setdefault(images[place].content, place)
    return found


def _first_near(images: Sequence[ImageRecord], start: int, end: int) -> NDArray[np.int64]:
    """Return, for each image, the first earlier one from ``start`` to ``end`` that looks the same; -1 if none does."""
    signs = np.where(np.stack([image.bits for image in images]), np.float32(1), np.float32(-1))
    small = np.stack([image.small for image in images]).astype(np.float32)
    small -= small.mean(axis=1, keepdims=True)
    small /= np.maximum(np.linalg.norm(small, axis=1, keepdims=True), _TINY)
    first = np.full(len(images), -1)
    for row in range(start, len(images), _ROWS):
        rows, earlier = slice(row, row + _ROWS), slice(start, min(end, row + _ROWS))
        alike = signs[rows] @ signs[earlier].T >= signs.shape[1] - 2 * _MOST_BITS
        alike &= np.arange(earlier.start, earlier.stop) < np.arange(row, row + len(alike))[:, None]
        candidates = np.flatnonzero(alike.any(axis=1))
        alike[candidates] &= small[rows][candidates] @ small[earlier].T >= _LEAST_CORRELATION
        first[rows] = np.where(alike.any(axis=1), start + alike.argmax(axis=1), -1)
    return first


def _images(count: int) -> str:
    return f"{count} image{'s' if count != 1 else ''}"


def _is(count: int) -> str:
    return "is" if count == 1 else "are"
