"""From image files to what a model sees in them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from cuelight.data.reading import UnreadableImageError, read_image
from cuelight.errors import CuelightError, DataError, did_you_mean
from cuelight.export.model_metadata import ModelMetadata
from cuelight.images import tensors
from cuelight.images.preprocessing import Preprocessing
from cuelight.tasks.lookup import TASKS, Result, Task

logger = logging.getLogger(__name__)


class Network(Protocol):
    """A model that can be called, wherever it came from."""

    @property
    def metadata(self) -> ModelMetadata | None:
        """What is known of it; ``None`` if nothing is."""
        ...

    def __call__(self, images: Tensor) -> Mapping[str, NDArray[Any]]:
        """Run it.

        Args:
            images: float ``(N, C, H, W)``; uint8 in RGB or grey if the metadata says ``preprocessing_inside``.

        Returns:
            The outputs by name, each of N images.
        """
        ...


@runtime_checkable
class ResizesResults(Protocol):
    """A task whose results have the size of the model's input, and can be brought to that of their image."""

    def resize_to_image(self, result: Any, preprocessing: Preprocessing, size: tuple[int, int]) -> Result:
        """Bring a result to the width and height of its image, which was prepared so."""
        ...


@runtime_checkable
class MakesMasks(Protocol):
    """A task whose results have a class for each pixel."""

    def mask_image(self, result: Any) -> Image.Image:
        """Return a result as an image that other programs read."""
        ...


@dataclass(frozen=True)
class ImagePrediction:
    """What a model sees in an image file.

    Args:
        path: The file.
        image: The image, upright, at its own size.
        result: What the model sees.
        task: What it was asked.
    """

    path: Path
    image: Image.Image
    result: Result
    task: Task

    def picture(self) -> Image.Image:
        """Draw the result.

        Returns:
            A new picture.
        """
        return self.task.draw(self.image, self.result)

    def mask(self) -> Image.Image | None:
        """Make an image of the classes of all pixels, as other programs read it.

        Returns:
            A new image of the size of ``image``; ``None`` if the task has no classes of pixels.
        """
        return self.task.mask_image(self.result) if isinstance(self.task, MakesMasks) else None


def predict(
    network: Network, files: Sequence[Path], batch_size: int = 32, report: Callable[[str], None] = logger.warning
) -> Iterator[ImagePrediction]:
    """Run a model on image files, read and prepared as in evaluation.

    Args:
        network: The model.
        files: The image files.
        batch_size: Images that are computed together.
        report: Called with a line for each file that cannot be read; the others go on.

    Returns:
        What the model sees in each readable file, in order.

    Raises:
        CuelightError: It is not known what the model does or how its images are prepared.
        DataError: None of the files can be read.
    """
    metadata = network.metadata
    if metadata is None:
        raise CuelightError(
            "Cuelight did not write this model, so it is not known how its images are prepared and what its outputs "
            "mean. Export it with Cuelight."
        )
    task = _task(metadata.task)
    if metadata.preprocessing is None:
        raise CuelightError(
            "The model does not say how its images are prepared: it was trained with data that has no preprocessing "
            "of its own. Give the data module a property `preprocessing`, and export the model again."
        )
    prepare = partial(tensors.fit if metadata.preprocessing_inside else tensors.prepare, metadata.preprocessing)
    images = read_images(files, prepare, report)
    return _predict(network, images, task, metadata, batch_size)


def _task(name: str | None) -> Task:
    if name in TASKS:
        return TASKS[name]
    said = f'does "{name}"' if name else "does not say what it does"
    raise CuelightError(
        f"The model {said}; outputs can be decoded of: {', '.join(TASKS)}.{did_you_mean(name or '', TASKS)}"
    )


def read_images(
    files: Sequence[Path], prepare: Callable[[Image.Image], Tensor], report: Callable[[str], None]
) -> Iterator[tuple[Path, Image.Image, Tensor]]:
    """Read what can be read.

    Args:
        files: The image files.
        prepare: What is done to an image before the model sees it, as far as the model does not do it itself.
        report: Called with a line for each file that cannot be read.

    Yields:
        Each file that can be read, its image, upright, and what is made of it.

    Raises:
        DataError: None of the files can be read.
    """
    readable = False
    for path in files:
        try:
            image = read_image(str(path))
        except UnreadableImageError as error:
            report(f"{path}: skipped, because it cannot be read: {error.unreadable.reason}")
            continue
        readable = True
        yield path, image, prepare(image)
    if not readable:
        raise DataError(
            f"None of {len(files)} files can be read as an image, the first is {next(iter(files), 'none')}."
        )


def _predict(
    network: Network,
    images: Iterator[tuple[Path, Image.Image, Tensor]],
    task: Task,
    metadata: ModelMetadata,
    batch_size: int,
) -> Iterator[ImagePrediction]:
    while batch := list(islice(images, batch_size)):
        outputs = network(torch.stack([tensor for _, _, tensor in batch]))
        for (path, image, _), result in zip(batch, task.decode(outputs, metadata.class_names), strict=True):
            yield ImagePrediction(path, image, _resized(task, result, metadata, image), task)


def _resized(task: Task, result: Result, metadata: ModelMetadata, image: Image.Image) -> Result:
    if metadata.preprocessing is None or not isinstance(task, ResizesResults):
        return result
    return task.resize_to_image(result, metadata.preprocessing, image.size)
