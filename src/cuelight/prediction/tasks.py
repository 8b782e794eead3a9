"""How the outputs of each task are decoded and drawn; a new task is one entry here."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from numpy.typing import NDArray
from PIL import Image

from cuelight.deploy.classification import decode_classification
from cuelight.prediction.classification_picture import draw_classification


class Result(Protocol):
    """What a model sees in one image."""

    def row(self) -> dict[str, Any]:
        """Lay this out as the row of a table; the same columns for every image."""
        ...

    def details(self) -> dict[str, Any]:
        """Tell all in plain types, for JSON."""
        ...


class Task(NamedTuple):
    """What is done with the outputs of a task.

    Args:
        decode: Makes one result for each image, of the outputs by name and the names of the classes.
        draw: Draws a result beside or on its image.
    """

    decode: Callable[[Mapping[str, NDArray[Any]], Sequence[str] | None], Sequence[Result]]
    draw: Callable[[Image.Image, Any], Image.Image]


TASKS: dict[str, Task] = {"classification": Task(decode_classification, draw_classification)}
