"""The head of an NN Archive for segmentation, by which a device decodes the output."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

PARSER = "SegmentationParser"


def archive_head(class_names: Sequence[str], outputs: Sequence[str]) -> dict[str, Any]:
    """Return the head for logits ``(N, classes, H, W)``; ``outputs`` is the name of the one output, in a list."""
    metadata = {
        "classes": list(class_names),
        "n_classes": len(class_names),
        "is_softmax": False,
        "background_class": False,  # class indices of the device are those of Cuelight
    }
    return {"parser": PARSER, "outputs": list(outputs), "metadata": metadata}


def head_problems(head: Mapping[str, Any], shapes: Mapping[str, Sequence[int | None]]) -> Iterator[str]:
    """Yield errors of a head, given the shapes of the outputs that it names."""
    if len(shapes) != 1:
        yield f"{PARSER} takes one output, got {', '.join(shapes)}"
        return
    [(name, shape)] = shapes.items()
    scores, count = shape[1] if len(shape) > 1 else None, head["metadata"].get("n_classes")
    if scores is not None and scores != count:
        yield f"n_classes is {count}, but {name} has {scores} of {list(shape)}"
