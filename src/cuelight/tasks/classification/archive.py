"""The head of an NN Archive for classification, by which a device decodes the output."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from math import prod
from typing import Any

PARSER = "ClassificationParser"


def archive_head(class_names: Sequence[str], outputs: Sequence[str]) -> dict[str, Any]:
    """Return the head for logits ``(N, classes)``; ``outputs`` is the name of the one output, in a list."""
    metadata = {"classes": list(class_names), "n_classes": len(class_names), "is_softmax": False}
    return {"parser": PARSER, "outputs": list(outputs), "metadata": metadata}


def head_problems(head: Mapping[str, Any], shapes: Mapping[str, Sequence[int | None]]) -> Iterator[str]:
    """Yield errors of a head, given the shapes of the outputs that it names."""
    if len(shapes) != 1:
        yield f"{head['parser']} takes one output, got {', '.join(shapes)}"
        return
    [(name, shape)] = shapes.items()
    scores, count = prod(size or 0 for size in shape[1:]), head["metadata"].get("n_classes")
    if scores != count:
        yield f"n_classes is {count}, but {name} has {scores} of {list(shape)}"
