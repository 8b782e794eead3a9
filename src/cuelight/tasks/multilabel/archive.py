"""The head of an NN Archive for multi-label classification."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from cuelight.tasks.classification import archive

# ClassificationParser refuses scores whose sum is not 1, or applies a softmax; this one returns all in their order.
PARSER = "RegressionParser"


def archive_head(class_names: Sequence[str], outputs: Sequence[str], thresholds: Sequence[float]) -> dict[str, Any]:
    """Return the head for probabilities ``(N, classes)``; the application compares them with the thresholds."""
    metadata = {"classes": list(class_names), "n_classes": len(class_names), "thresholds": list(thresholds)}
    return {"parser": PARSER, "outputs": list(outputs), "metadata": metadata}


def head_problems(head: Mapping[str, Any], shapes: Mapping[str, Sequence[int | None]]) -> Iterator[str]:
    """Yield errors of a head, given the shapes of the outputs that it names; one without classes is of another task."""
    if "n_classes" in head["metadata"]:
        yield from archive.head_problems(head, shapes)
