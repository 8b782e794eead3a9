"""A picture of a few images of an evaluation with their targets and results."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from heapq import nlargest
from operator import attrgetter, itemgetter
from typing import Any

import lightning.pytorch as pl
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn
from torchvision.transforms.v2.functional import to_pil_image

from cuelight.errors import CuelightError
from cuelight.explain.batches import images_and_labels
from cuelight.export.model_metadata import ModelMetadata
from cuelight.export.onnx.target import named_tensors
from cuelight.export.protocols import ConvertsOutputs
from cuelight.images import tensors
from cuelight.tasks.lookup import TASKS, Task
from cuelight.utils.redaction import reason_of

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Example:
    image: Tensor
    target: Any
    result: Any
    rank: float


class ExampleCollector(pl.Callback):
    """Collects the images of an evaluation that are drawn, with their targets and the results of the model.

    Nothing is collected if the task cannot draw examples, or the preprocessing is unknown. If an image cannot be
    collected, for example because the outputs are not finite, this is logged, and there is no picture.

    Args:
        metadata: The metadata of the module.
    """

    def __init__(self, metadata: ModelMetadata) -> None:
        task = TASKS.get(metadata.task or "")
        self._task = task if metadata.preprocessing else None
        self._metadata = metadata
        self._examples: list[_Example] = []
        self._outputs: Any = None

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Look at the outputs of the module, which is used for this evaluation only."""
        pl_module.register_forward_hook(self._note)

    def on_test_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, *_: Any, **__: Any
    ) -> None:
        """Collect from the batch."""
        given, self._outputs = self._outputs, None
        if self._task is None or given is None or self._needed(self._task) == 0:
            return
        try:
            found = [*self._examples, *self._found(self._task, given, batch)]
        except Exception as error:  # noqa: BLE001 - the metrics are valid without a picture
            reason = str(error) if isinstance(error, CuelightError) else reason_of(error)
            logger.warning("Predictions cannot be drawn: %s", reason)
            self._task = None
            return
        self._examples = nlargest(self._task.most_examples, found, key=attrgetter("rank"))

    on_validation_batch_end = on_test_batch_end

    def picture(self) -> Image.Image | None:
        """Draw the collected images; ``None`` if there are none."""
        preprocessing = self._metadata.preprocessing
        if self._task is None or preprocessing is None or not self._examples:
            return None
        images = torch.stack([example.image for example in self._examples])
        pictures = [to_pil_image(picture) for picture in tensors.denormalize(preprocessing, images)]
        targets, results = zip(*((example.target, example.result) for example in self._examples), strict=True)
        return self._task.draw_examples(pictures, targets, results, self._metadata.class_names)

    def _note(self, module: nn.Module, _inputs: Any, outputs: Any) -> None:
        self._outputs = module.exported(outputs) if isinstance(module, ConvertsOutputs) else outputs

    def _needed(self, task: Task) -> int:
        """Return how many images of the next batch may be drawn."""
        return task.most_examples - (0 if task.rank_example else len(self._examples))

    def _found(self, task: Task, outputs: Any, batch: Any) -> list[_Example]:
        images, targets = batch if _has_mappings(batch) else images_and_labels(batch)
        known = [_target_of(targets, place) for place in range(len(images))]
        named = list(named_tensors(outputs))

        def decoded(places: slice) -> Sequence[Any]:
            arrays = {name: output[places].float().cpu().numpy() for name, output in named}
            return task.decode(arrays, self._metadata.class_names, self._metadata.decoding)

        if task.rank_example:
            results = decoded(slice(None))
            ranks = map(task.rank_example, known, results)
            ranked = [(rank, place, results[place]) for place, rank in enumerate(ranks) if rank is not None]
            chosen = nlargest(task.most_examples, ranked, key=itemgetter(0))
        else:  # one by one: the logits of a batch of two megapixels and many classes take gigabytes
            first = range(min(self._needed(task), len(images)))
            chosen = [(0.0, place, decoded(slice(place, place + 1))[0]) for place in first]
        return [_Example(images[place].float().cpu(), known[place], result, rank) for rank, place, result in chosen]


def _has_mappings(batch: Any) -> bool:
    return isinstance(batch, (list, tuple)) and len(batch) == 2 and isinstance(batch[1], Mapping)  # noqa: PLR2004


def _target_of(targets: Any, place: int) -> Any:
    """Return the target of an image of a batch, an array or a mapping of arrays."""
    if isinstance(targets, Mapping):
        return {name: _target_of(values, place) for name, values in targets.items()}
    target: NDArray[Any] = torch.as_tensor(targets[place]).cpu().numpy()
    return target
