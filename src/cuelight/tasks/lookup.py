"""How the outputs of each task are decoded and drawn; a new task is one entry here."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from numpy.typing import NDArray
from PIL import Image

from cuelight.images.preprocessing import Preprocessing
from cuelight.tasks.classification.decode import decode_classification
from cuelight.tasks.classification.picture import draw_classification
from cuelight.tasks.segmentation.decode import decode_segmentation
from cuelight.tasks.segmentation.examples import draw_segmentation_examples
from cuelight.tasks.segmentation.picture import draw_segmentation, mask_image
from cuelight.tasks.segmentation.resize_to_image import resize_to_image


class Result(Protocol):
    """What a model sees in one image."""

    def row(self) -> dict[str, Any]:
        """Lay this out as the row of a table; the same columns for every image."""
        ...

    def summary(self) -> dict[str, Any]:
        """Lay out the most important of it as the row of a table that people read."""
        ...

    def details(self) -> dict[str, Any]:
        """Tell all in plain types, for JSON."""
        ...


class Task(NamedTuple):
    """What is done with the outputs of a task.

    Args:
        decode: Makes one result for each image, of the outputs by name and the names of the classes.
        draw: Draws a result beside or on its image.
        place: Brings a result from the size of the model to the width and height of its image, where that matters.
        mask: Makes an image of a result for other programs, where it has a class for each pixel.
        compare: Draws a few images as the model sees them, their targets ``(N, ...)`` and results beside each other.
    """

    decode: Callable[[Mapping[str, NDArray[Any]], Sequence[str] | None], Sequence[Result]]
    draw: Callable[[Image.Image, Any], Image.Image]
    place: Callable[[Any, Preprocessing, tuple[int, int]], Result] | None = None
    mask: Callable[[Any], Image.Image] | None = None
    compare: Callable[[Sequence[Image.Image], NDArray[Any], Sequence[Any]], Image.Image] | None = None


TASKS: dict[str, Task] = {
    "classification": Task(decode_classification, draw_classification),
    "segmentation": Task(
        decode_segmentation, draw_segmentation, resize_to_image, mask_image, draw_segmentation_examples
    ),
}
