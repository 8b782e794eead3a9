"""Objects in images as annotation files describe them, and checks of their boxes."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from cuelight.data.base.folders import OnError
from cuelight.data.skeleton import Skeleton
from cuelight.errors import DataError
from cuelight.utils.words import first_of

logger = logging.getLogger(__name__)

RELATIVE = (1, 1)
"""The size of an image whose boxes are given as shares of its width and height."""

WHOLE = (0.0, 0.0, 1.0, 1.0)
"""The box of a class of the whole image, in an image of this size."""

_MOST_NAMED = 3
_PRECISION = 1e-6
_MOST_OUTSIDE = 0.01  # of a side; less is rounding


Point = tuple[float, float, int]
"""x and y in units of the size of the image, and the visibility: 0 without a label, 1 hidden, 2 visible."""


class AnnotatedObject(NamedTuple):
    """One object of an image.

    Args:
        name: The name of its class.
        box: Left, top, right and bottom, in units of the size of the image.
        crowd: Whether it is a region to ignore; in data of labels, whether it is unknown if the image has the class.
        where: Its place for messages, such as a file and a line.
        points: Its named points; empty in data of boxes.
    """

    name: str
    box: tuple[float, float, float, float]
    crowd: bool
    where: str
    points: tuple[Point, ...] = ()


class AnnotatedImage(NamedTuple):
    """An image file and its objects.

    Args:
        path: The image.
        size: Width and height for which the boxes are given; ``None`` if they are not known, and in pixels.
        objects: Its objects; there may be none.
    """

    path: str
    size: tuple[int, int] | None
    objects: list[AnnotatedObject]


class Annotations(NamedTuple):
    """The annotated images of each split, the names of the classes in their order, and the points of the objects."""

    class_names: list[str]
    splits: Mapping[str, list[AnnotatedImage]]
    skeleton: Skeleton | None = None


class AnnotationErrors:
    """What is wrong with the annotations of a dataset: an error at once, or with ``skip`` counted.

    Args:
        source: The dataset, for the messages.
        on_error: ``raise`` or ``skip``.
    """

    def __init__(self, source: object, on_error: OnError) -> None:
        self.source = source
        self.on_error = on_error
        self._skipped: list[str] = []
        self._cut: list[str] = []
        self._without_size: list[str] = []
        self._outside: list[str] = []

    def add(self, where: str, problem: str) -> None:
        """Note an image or an object that cannot be used; ``where`` names its file and entry."""
        if self.on_error == "raise":
            raise DataError(f"{where}: {problem}. Correct or remove it, or set on_error: skip to leave it out.")
        self._skipped.append(f"{where} ({problem})")

    def add_file(self, error: DataError) -> None:
        """Note an annotation file that cannot be read."""
        if self.on_error == "raise":
            raise error
        self._skipped.append(str(error))

    def usable(self, image: AnnotatedImage) -> AnnotatedImage:
        """Return the image with the objects whose boxes can be used."""
        return image._replace(objects=list(self._usable(image.objects, image.size)))

    def report(self) -> None:
        """Log how much was skipped, and how many boxes extend beyond their image."""
        for problem, where in (
            ("skipped %d images or objects with wrong annotations", self._skipped),
            ("left out %d boxes that have no width or no height", self._without_size),
            ("cut off %d boxes that extend beyond their image", self._cut),
            ("left out labelled points of %d objects, because they are outside of the image", self._outside),
        ):
            if where:
                logger.warning(f"%s: {problem}: %s", self.source, len(where), first_of(where, _MOST_NAMED))  # noqa: G004
        self._skipped, self._cut, self._outside, self._without_size = [], [], [], []

    def _usable(self, objects: Iterable[AnnotatedObject], size: tuple[int, int] | None) -> Iterator[AnnotatedObject]:
        for each in objects:
            if _has_no_size(each.box):  # COCO itself has such boxes
                self._without_size.append(each.where)
                continue
            if problem := _box_problem(each.box, size):
                self.add(each.where, problem)
                continue
            if size is not None and _extends_beyond(each.box, size):
                self._cut.append(each.where)
            if size is not None and any(seen and _extends_beyond((x, y, x, y), size) for x, y, seen in each.points):
                self._outside.append(each.where)
            yield each


_LARGEST = 1e9  # pixels, far beyond any image; also false for NaN


def _has_no_size(box: tuple[float, float, float, float]) -> bool:
    left, top, right, bottom = box
    return all(map(math.isfinite, box)) and (_are_equal(left, right) or _are_equal(top, bottom))


def _box_problem(box: tuple[float, float, float, float], size: tuple[int, int] | None) -> str | None:
    left, top, right, bottom = box
    if not all(abs(value) < _LARGEST for value in box):
        return "the coordinates of its box are not all finite numbers"
    if right < left or bottom < top:
        return f"its box has no size: {right - left:g} wide and {bottom - top:g} high"
    if size is not None and (left >= size[0] or top >= size[1] or right <= 0 or bottom <= 0):
        edges = f"from {left:g}, {top:g} to {right:g}, {bottom:g}"
        if size == RELATIVE:
            return f"its box, {edges}, is outside of the image; expected shares of width and height from 0 to 1"
        return f"its box, {edges}, is outside of the image, which has {size[0]} x {size[1]} pixels"
    return None


def _are_equal(first: float, last: float) -> bool:
    """Return whether two coordinates are the same in single precision."""
    return abs(last - first) <= _PRECISION * max(abs(first), abs(last))


def _extends_beyond(box: tuple[float, float, float, float], size: tuple[int, int]) -> bool:
    (left, top, right, bottom), (width, height) = box, size
    across, down = max(-left, right - width), max(-top, bottom - height)
    return across > _MOST_OUTSIDE * width or down > _MOST_OUTSIDE * height
