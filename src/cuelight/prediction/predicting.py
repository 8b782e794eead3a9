"""Predictions for image files."""

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
from cuelight.images.value_range import ValueRange, to_8_bits
from cuelight.tasks.lookup import TASKS, Result, Task

logger = logging.getLogger(__name__)


class Network(Protocol):
    """A callable model, such as an ``OnnxModel``."""

    @property
    def metadata(self) -> ModelMetadata | None:
        """The metadata of the model; ``None`` if unknown."""

    def __call__(self, images: Tensor) -> Mapping[str, NDArray[Any]]:
        """Run the model.

        Args:
            images: float ``(N, C, H, W)``; uint8 in RGB or grey if the metadata says ``preprocessing_inside``.

        Returns:
            The outputs by name, each of N images.
        """


@runtime_checkable
class HasCocoResults(Protocol):
    """A result with boxes."""

    def coco(self, image_id: int | str) -> list[dict[str, Any]]:
        """Return the boxes in the format of COCO results."""


@dataclass(frozen=True)
class ImagePrediction:
    """The prediction for an image file.

    Args:
        path: The file.
        image: The image, upright, at its original size.
        result: The decoded outputs.
        task: The task that decoded them.
    """

    path: Path
    image: Image.Image
    result: Result
    task: Task

    def picture(self) -> Image.Image:
        """Draw the image and its result as a new picture."""
        return self.task.draw(self.image, self.result)

    def mask(self) -> Image.Image | None:
        """Return the class index of each pixel as an image of the original size; ``None`` if the task has none."""
        return self.task.mask_image(self.result) if self.task.mask_image else None


def predict(
    network: Network, files: Sequence[Path], batch_size: int = 32, report: Callable[[str], None] = logger.warning
) -> Iterator[ImagePrediction]:
    """Run a model on image files, read and prepared as in evaluation.

    Args:
        network: The model.
        files: The image files.
        batch_size: Images per batch.
        report: Called with a line for each unreadable file, which is skipped.

    Returns:
        An iterator over the predictions for the readable files, in order.

    Raises:
        CuelightError: The metadata of the model is missing, or has no known task or no preprocessing.
        DataError: None of the files can be read.
    """
    metadata = network.metadata
    if metadata is None:
        raise CuelightError(
            "The model has no metadata from Cuelight, so its preprocessing and the meaning of its outputs are unknown. "
            "Export it with Cuelight."
        )
    task = TASKS.get(metadata.task or "")
    if task is None:
        said = f'is for the task "{metadata.task}"' if metadata.task else "has no task in its metadata"
        near = did_you_mean(metadata.task or "", TASKS)
        raise CuelightError(f"The model {said}. Supported tasks: {', '.join(TASKS)}.{near}")
    preprocessing = metadata.preprocessing
    if preprocessing is None:
        raise CuelightError(
            "The model has no preprocessing metadata, because its data module has no `preprocessing`. Set "
            "`preprocessing` on your data module and export the model again."
        )
    prepare = partial(_fit_in_8_bits if metadata.preprocessing_inside else tensors.prepare, preprocessing)
    images = read_images(files, prepare, report, preprocessing.value_range)
    return _predict(network, images, task, preprocessing, metadata, batch_size)


def _fit_in_8_bits(preprocessing: Preprocessing, image: Image.Image) -> Tensor:
    fitted = tensors.fit(preprocessing, image)
    return fitted if fitted.dtype == torch.uint8 else (fitted * 255.0).round().to(torch.uint8)


def read_images(
    files: Sequence[Path],
    prepare: Callable[[Image.Image], Tensor],
    report: Callable[[str], None],
    value_range: ValueRange | None = None,
) -> Iterator[tuple[Path, Image.Image, Tensor]]:
    """Yield each readable file, its image, upright and with 8 bits, and what ``prepare`` makes of the original.

    ``value_range`` has the values of black and white in images of more than 8 bits.

    Raises:
        DataError: None of the files can be read.
    """
    readable = False
    for path in files:
        try:
            image = read_image(str(path), value_range)
        except UnreadableImageError as error:
            report(f"{path}: skipped, because it cannot be read: {error.unreadable.reason}")
            continue
        readable = True
        yield path, to_8_bits(image, value_range), prepare(image)
    if not readable:
        raise DataError(
            f"None of {len(files)} files can be read as an image, the first is {next(iter(files), 'none')}."
        )


def _predict(
    network: Network,
    images: Iterator[tuple[Path, Image.Image, Tensor]],
    task: Task,
    preprocessing: Preprocessing,
    metadata: ModelMetadata,
    batch_size: int,
) -> Iterator[ImagePrediction]:
    while batch := list(islice(images, batch_size)):
        outputs = network(torch.stack([tensor for _, _, tensor in batch]))
        results = task.decode(outputs, metadata.class_names, metadata.decoding)
        for (path, image, _), decoded in zip(batch, results, strict=True):
            result = task.resize_to_image(decoded, preprocessing, image.size) if task.resize_to_image else decoded
            yield ImagePrediction(path, image, result, task)
