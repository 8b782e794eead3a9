"""The head of an NN Archive for keypoints, by which a device decodes the outputs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from cuelight.tasks.detection.archive import archive_head, output_names
from cuelight.tasks.detection.archive import head_problems as box_problems

PARSER = "YOLOExtendedParser"

_POINTS = "kpt_output"  # by which the parser recognizes the outputs of points


def keypoint_output_names(count: int) -> list[str]:
    """Return names for the outputs of ``count`` strides: those of boxes, then those of points."""
    width = len(str(count))
    return [*output_names(count), *(f"{_POINTS}{number:0{width}}" for number in range(1, count + 1))]


def keypoint_head(class_names: Sequence[str], outputs: Sequence[str], decoding: Mapping[str, Any]) -> dict[str, Any]:
    """Return the head for outputs of boxes and points; ``decoding`` has strides, thresholds, names and edges."""
    boxes, points = _by_kind(outputs)
    head = archive_head(class_names, boxes, decoding)
    more = {"keypoints_outputs": points, "n_keypoints": len(decoding["keypoint_label_names"])}
    return head | {"parser": PARSER, "outputs": list(outputs), "metadata": head["metadata"] | more}


def head_problems(head: Mapping[str, Any], shapes: Mapping[str, Sequence[int | None]]) -> Iterator[str]:
    """Yield errors of a head, given the shapes of the outputs that it names."""
    boxes, points = _by_kind(list(shapes))
    count = head["metadata"].get("n_keypoints")
    yield from box_problems(head, {name: shapes[name] for name in boxes})
    if len(points) != len(boxes):
        yield f"there are {len(points)} outputs with {_POINTS} in their names for {len(boxes)} of boxes"
    if points != sorted(points):
        yield f"{PARSER} reads the outputs in the order of their names, got {', '.join(points)}"
    for name in points:
        if len(shapes[name]) != 3 or shapes[name][1] != 3 * (count or 0):  # noqa: PLR2004
            yield f"n_keypoints is {count}, so {name} needs {3 * (count or 0)} channels, got {list(shapes[name])}"


def _by_kind(names: Sequence[str]) -> tuple[list[str], list[str]]:
    points = [name for name in names if _POINTS in name]
    return [name for name in names if name not in points], points
