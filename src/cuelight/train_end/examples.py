"""A picture of a few predictions beside their targets."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from itertools import chain, islice
from typing import Any, Protocol, runtime_checkable

import lightning.pytorch as pl
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torchvision.transforms.v2.functional import to_pil_image

from cuelight.data.protocols import LoadsWhole
from cuelight.errors import CuelightError
from cuelight.evaluation.evaluate import set_up
from cuelight.evaluation.evaluator import Split
from cuelight.export.model_metadata import ModelMetadata
from cuelight.images import tensors
from cuelight.prediction.pytorch_model import PyTorchModel
from cuelight.tasks.lookup import TASKS, Task

logger = logging.getLogger(__name__)

_IMAGES = 6


@runtime_checkable
class DrawsExamples(Task, Protocol):
    """A task that can draw images beside their targets and results."""

    def draw_examples(
        self, images: Sequence[Image.Image], targets: Sequence[NDArray[Any]], results: Sequence[Any]
    ) -> Image.Image:
        """Draw each image with its target and its result."""
        ...


def draw_examples(
    module: pl.LightningModule, metadata: ModelMetadata, data: pl.LightningDataModule, view: Split
) -> Image.Image | None:
    """Draw the first images of a split beside their targets and the predictions of a module (eval mode, CPU).

    Returns:
        The picture; ``None`` if the task cannot draw examples, the preprocessing is unknown, or the outputs cannot be
        decoded (for example because they are not finite), which is logged.
    """
    task = TASKS.get(metadata.task or "")
    preprocessing = metadata.preprocessing
    if not isinstance(task, DrawsExamples) or preprocessing is None or not isinstance(data, LoadsWhole):
        return None
    with set_up(data, view):
        images, targets = _first(data, view)
    network = PyTorchModel(module.float(), metadata)  # as exported, also after a test in half precision
    # One by one: the logits of six images of two megapixels and many classes take gigabytes.
    outputs = (network(image[None]) for image in images)
    try:
        results = [result for output in outputs for result in task.decode(output, metadata.class_names)]
    except CuelightError as error:  # the metrics are valid without a picture
        logger.warning("Predictions cannot be drawn: %s", error)
        return None
    pictures = [to_pil_image(picture) for picture in tensors.denormalize(preprocessing, images)]
    return task.draw_examples(pictures, [target.numpy() for target in targets], results)


def _first(data: LoadsWhole, view: Split) -> tuple[Tensor, Sequence[Tensor]]:
    batches = iter(data.whole_dataloader(view))
    samples = chain.from_iterable(zip(images, targets, strict=True) for images, targets in batches)
    images, targets = zip(*islice(samples, _IMAGES), strict=True)
    return torch.stack(images), targets
