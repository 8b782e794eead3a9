"""The head of an NN Archive for detection, by which a device decodes the outputs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

PARSER = "YOLO"
USUAL_STRIDES = (8, 16, 32)

_SUBTYPE = "yolov6r2"  # the one that depthai and depthai-nodes read alike
_BESIDE_CLASSES = 5  # four distances and the largest probability


def output_names(count: int) -> list[str]:
    """Return names for the outputs that the parser recognizes, and whose order as text is that of the strides."""
    width = len(str(count))
    return [f"output{number:0{width}}_{_SUBTYPE}" for number in range(1, count + 1)]


def archive_head(class_names: Sequence[str], outputs: Sequence[str], decoding: Mapping[str, Any]) -> dict[str, Any]:
    """Return the head for outputs ``(N, 5 + classes, H, W)``; ``decoding`` has strides and thresholds."""
    metadata = {
        "classes": list(class_names),
        "n_classes": len(class_names),
        "subtype": _SUBTYPE,
        "yolo_outputs": list(outputs),
        **{key: list(value) if isinstance(value, tuple) else value for key, value in decoding.items()},
    }
    return {"parser": PARSER, "outputs": list(outputs), "metadata": metadata}


def head_problems(head: Mapping[str, Any], shapes: Mapping[str, Sequence[int | None]]) -> Iterator[str]:
    """Yield errors of a head, given the shapes of the outputs that it names."""
    metadata = head["metadata"]
    count, strides = metadata.get("n_classes"), metadata.get("strides")
    if strides is not None and len(strides) != len(shapes):
        yield f"there are {len(strides)} strides for {len(shapes)} outputs, {', '.join(shapes)}"
    if list(shapes) != sorted(shapes):
        yield f"{PARSER} reads the outputs in the order of their names, got {', '.join(shapes)}"
    for name, shape in shapes.items():
        if "yolo" not in name:
            yield f"{PARSER} takes outputs with yolo in their names, got {name}"
        if len(shape) != 4 or shape[1] != _BESIDE_CLASSES + (count or 0):  # noqa: PLR2004
            yield f"n_classes is {count}, so {name} needs {_BESIDE_CLASSES + (count or 0)} channels, got {list(shape)}"
