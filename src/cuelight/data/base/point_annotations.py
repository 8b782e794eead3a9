"""Points of objects as annotation files describe them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from cuelight.data.base.box_annotations import Point
from cuelight.data.skeleton import Pairs, Skeleton, to_pairs
from cuelight.data.targets.keypoints import VISIBLE
from cuelight.errors import DataError

_WITH_VISIBILITY = 3  # numbers of a point


def coco_skeleton(categories: Iterable[Mapping[str, Any]], file: Path) -> Skeleton:
    """Return the points of the categories of a COCO file, all of which have the same; edges count from 1 there."""
    with_points = [category for category in categories if category.get("keypoints")]
    if not with_points:
        raise DataError(f"{file}: no category has keypoints, a list of names. Is it a keypoint file of COCO?")
    first = with_points[0]
    for other in with_points:
        if other["keypoints"] != first["keypoints"]:
            raise DataError(
                f"{file}: {first['name']} and {other['name']} have different keypoints. All classes of a model "
                "have the same points: choose classes that do, or write a file for each."
            )
    edges = first.get("skeleton") or []
    try:
        return Skeleton(_texts(first["keypoints"]), tuple((start - 1, end - 1) for start, end in to_pairs(edges)))
    except (TypeError, ValueError) as error:
        raise DataError(f"{file}: category {first['name']}: {error}. Correct its keypoints or its skeleton.") from error


def coco_points(values: Any, skeleton: Skeleton) -> tuple[Point, ...] | str:
    """Return the points of an annotation, or what is wrong with them; without any, none is labelled."""
    count = len(skeleton.names)
    if values is None or values == []:
        return ((0.0, 0.0, 0),) * count
    if not isinstance(values, list) or len(values) != _WITH_VISIBILITY * count:
        got = f"{len(values)} numbers" if isinstance(values, list) else str(values)[:80]
        return f"expected x, y and visibility of {count} points, {_WITH_VISIBILITY * count} numbers; got {got}"
    return to_points(values, _WITH_VISIBILITY)


def yolo_skeleton(settings: Mapping[str, Any], file: Path) -> tuple[Skeleton, int]:
    """Return the points that ``data.yaml`` describes, and the numbers of each: 2, or 3 with the visibility."""
    shape = settings.get("kpt_shape")
    if (
        not isinstance(shape, list)
        or [type(value) for value in shape] != [int, int]
        or shape[0] < 1
        or shape[1] not in (2, 3)
    ):
        raise DataError(
            f"{file}: kpt_shape: expected [number of points, 2], or 3 with their visibility, got {shape}. Use "
            "YoloDetection for boxes without points."
        )
    order = settings.get("flip_idx")
    names = settings.get("kpt_names")
    names = next(iter(names.values()), None) if isinstance(names, dict) else names
    try:
        texts = tuple(map(str, range(shape[0]))) if names is None else _texts(names, shape[0])
        return Skeleton(texts, (), () if order is None else _pairs_of(order, shape[0])), shape[1]
    except (TypeError, ValueError) as error:
        raise DataError(f"{file}: {error}.") from error


def to_points(values: Sequence[Any], numbers: int) -> tuple[Point, ...] | str:
    """Return points, or what is wrong with them; ``numbers`` of each are 2, or 3 with the visibility."""
    points = []
    for number, start in enumerate(range(0, len(values), numbers)):
        point = values[start : start + numbers]
        if not all(isinstance(value, (int, float)) for value in point) or not all(map(math.isfinite, point)):
            return f"the coordinates of point {number} are not finite numbers: {', '.join(map(str, point))}"
        x, y, seen = point if numbers == _WITH_VISIBILITY else (*point, VISIBLE if any(point) else 0)
        if seen not in (0, 1, 2):
            return f"the visibility of point {number} is {seen:g}; expected 0 (not labelled), 1 (hidden) or 2 (visible)"
        points.append((float(x), float(y), int(seen)))
    return tuple(points)


def _pairs_of(order: Any, count: int) -> Pairs:
    """Return the pairs that ``flip_idx`` exchanges: for each point the index of the one in its place."""
    whole = isinstance(order, list) and all(type(index) is int for index in order)
    if not whole or sorted(order) != list(range(count)):
        raise ValueError(f"flip_idx: expected each index from 0 to {count - 1} once, got {order}")
    if wrong := [place for place, other in enumerate(order) if order[other] != place]:
        raise ValueError(f"flip_idx: point {wrong[0]} becomes {order[wrong[0]]}, but that does not become {wrong[0]}")
    return tuple((place, other) for place, other in enumerate(order) if place < other)


def _texts(names: Any, count: int | None = None) -> tuple[str, ...]:
    if not isinstance(names, list) or not all(isinstance(name, str) and name for name in names):
        raise ValueError(f"expected a list of names of points, got {str(names)[:80]}")
    if count not in (None, len(names)):
        raise ValueError(f"expected {count} names of points, got {len(names)}")
    return tuple(names)
