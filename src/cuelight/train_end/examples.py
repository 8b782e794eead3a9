"""A picture of a few predictions beside their targets."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

import lightning.pytorch as pl
import torch
from lightning_utilities import apply_to_collection
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
        self, images: Sequence[Image.Image], targets: Sequence[Any], results: Sequence[Any]
    ) -> Image.Image:
        """Draw each image with its target, an array or a mapping of arrays, and its result."""
        ...


@runtime_checkable
class ChoosesExamples(Protocol):
    """A module that chooses which images of an evaluation are drawn; the default is the first ones."""

    def example_indices(self, count: int) -> Sequence[int]:
        """Return up to ``count`` places in the split, ascending."""
        ...


def draw_examples(
    module: pl.LightningModule, metadata: ModelMetadata, data: pl.LightningDataModule, view: Split
) -> Image.Image | None:
    """Draw a few images of a split beside their targets and the predictions of a module (eval mode, CPU).

    Returns:
        The picture; ``None`` if the task cannot draw examples, the preprocessing is unknown, or the outputs cannot be
        decoded (for example because they are not finite), which is logged.
    """
    task = TASKS.get(metadata.task or "")
    preprocessing = metadata.preprocessing
    if not isinstance(task, DrawsExamples) or preprocessing is None or not isinstance(data, LoadsWhole):
        return None
    with set_up(data, view):
        chosen = module.example_indices(_IMAGES) if isinstance(module, ChoosesExamples) else range(_IMAGES)
        if not chosen:
            return None
        images, targets = _samples(data, view, chosen)
    network = PyTorchModel(module.float(), metadata)  # as exported, also after a test in half precision
    # One by one: the logits of six images of two megapixels and many classes take gigabytes.
    outputs = (network(image[None]) for image in images)
    try:
        results = [result for output in outputs for result in task.decode(output, metadata)]
    except CuelightError as error:  # the metrics are valid without a picture
        logger.warning("Predictions cannot be drawn: %s", error)
        return None
    pictures = [to_pil_image(picture) for picture in tensors.denormalize(preprocessing, images)]
    return task.draw_examples(pictures, targets, results)


def _samples(data: LoadsWhole, view: Split, chosen: Sequence[int]) -> tuple[Tensor, Sequence[Any]]:
    samples: dict[int, tuple[Tensor, Any]] = {}
    passed = 0
    for images, targets in data.whole_dataloader(view):
        for place in set(chosen).intersection(range(passed, passed + len(images))):
            samples[place] = images[place - passed], apply_to_collection(targets, Tensor, _row, place - passed)
        passed += len(images)
        if passed > max(chosen):
            break
    images, targets = zip(*(samples[place] for place in sorted(samples)), strict=True)
    return torch.stack(images), targets


def _row(values: Tensor, place: int) -> NDArray[Any]:
    row: NDArray[Any] = values[place].numpy()
    return row
