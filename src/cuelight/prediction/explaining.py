"""Heat maps of image files."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor, nn

from cuelight.data.targets.masks import MASKS
from cuelight.errors import CuelightError
from cuelight.explain import Method
from cuelight.explain.captions import explained_images, title_of
from cuelight.explain.inputs import as_pictures
from cuelight.explain.pictures import MOST_IN_GRID, ExplainedImage, draw_explanation, draw_grid
from cuelight.explain.protocols import CountsPixels, TaskScores
from cuelight.explain.targets import Target, find_target
from cuelight.export.model_metadata import ModelMetadata
from cuelight.export.protocols import NamesOutputs
from cuelight.images import tensors
from cuelight.images.preprocessing import IGNORE_INDEX, Preprocessing
from cuelight.prediction.predicting import read_images
from cuelight.prediction.writing import PICTURES, UnusedNames, save_picture
from cuelight.tasks.class_scores import class_scores

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ImageExplanation:
    """The heat map of an image file.

    Args:
        path: The file.
        explained: The prepared image, its heat map, class and score.
        title: Method and layer.
    """

    path: Path
    explained: ExplainedImage
    title: str

    def picture(self) -> Image.Image:
        """Draw input, heat map and overlay."""
        return draw_explanation(self.explained, f"{self.path.name}: {self.title}")

    def row(self) -> dict[str, Any]:
        """Return the row of a table; every image has the same columns."""
        return {
            "class": self.explained.name,
            "score": self.explained.score,
            "largest influence": f"{self.explained.heat.max():.3g}",
            "note": self.explained.note,
        }


def explain(
    model: nn.Module,
    metadata: ModelMetadata,
    files: Sequence[Path],
    *,
    layer: int | str = "auto",
    class_idx: int | str = "predicted",
    method: Method = "gradcam",
    output: int | str | None = None,
    batch_size: int = 16,
    report: Callable[[str], None] = logger.warning,
) -> Iterator[ImageExplanation]:
    """Compute heat maps of image files, read and prepared as in evaluation.

    Args:
        model: The model.
        metadata: The metadata of the model; it must have ``preprocessing``.
        files: The image files.
        layer: The layer to explain: its index in ``cuelight layers``, its name, or ``auto``.
        class_idx: The class to explain: its index, also as text, its name, or ``predicted``.
        method: How activations and gradients are combined into a map.
        output: The output with the class scores, if there are several.
        batch_size: Images per batch.
        report: Called with a line for each unreadable file, which is skipped.

    Returns:
        An iterator over the explanations of the readable files, in order.

    Raises:
        CuelightError: There is no such layer, class or output, or the metadata has no preprocessing.
        DataError: None of the files can be read.
    """
    preprocessing = metadata.preprocessing
    if preprocessing is None:
        raise CuelightError(
            "The model has no preprocessing metadata, because its data module has no `preprocessing`. Set "
            "`preprocessing` on your data module and train the model again."
        )
    if class_idx == "label":
        raise CuelightError(
            'Image files have no labels. Set the class to a name or an index, or leave it at "predicted".'
        )
    if isinstance(class_idx, str) and class_idx.isdecimal() and class_idx not in (metadata.class_names or ()):
        class_idx = int(class_idx)
    target = find_target(
        model,
        torch.zeros(1, preprocessing.channels, *preprocessing.size),
        layer,
        class_idx,
        class_scores(metadata.task, model, metadata.class_names),
        class_names=metadata.class_names,
        method=method,
        output=output,
        output_names=model.output_names if isinstance(model, NamesOutputs) else None,
    )
    images = read_images(files, partial(tensors.prepare, preprocessing), report, preprocessing.value_range)
    return _explain(model, target, images, preprocessing, metadata.class_names, batch_size)


def _explain(
    model: nn.Module,
    target: Target,
    images: Iterator[tuple[Path, Image.Image, Tensor]],
    preprocessing: Preprocessing,
    class_names: Sequence[str] | None,
    batch_size: int,
) -> Iterator[ImageExplanation]:
    while batch := list(islice(images, batch_size)):
        inputs = torch.stack([tensor for _, _, tensor in batch])
        scores = _without_bars(target.scores, [image for _, image, _ in batch], preprocessing)
        found = target.heat_maps(model, inputs, scores=scores)
        pictures = as_pictures(inputs, preprocessing)
        title = title_of(target.method, target.layer, found.maps)
        explained = explained_images(found, pictures, scores, class_names)
        for (path, _, _), one in zip(batch, explained, strict=True):
            yield ImageExplanation(path, one, title)


def _without_bars(scores: TaskScores, images: Sequence[Image.Image], preprocessing: Preprocessing) -> TaskScores:
    """Leave out the pixels of the bars that a letterbox adds."""
    if preprocessing.resize != "letterbox" or not isinstance(scores, CountsPixels):
        return scores
    empty = (torch.zeros(1, image.height, image.width, dtype=torch.uint8) for image in images)
    return scores.counting(torch.cat([MASKS.fit(mask, preprocessing) for mask in empty]) != IGNORE_INDEX)


def write_explanations(explanations: Iterable[ImageExplanation], folder: Path) -> int:
    """Write one picture for each image into ``pictures``, and overviews of up to 12 images beside that folder.

    Overviews of an earlier call are replaced.

    Args:
        explanations: The result of :func:`explain`; only 12 images and a batch are in memory at a time.
        folder: The output folder; it is created if missing.

    Returns:
        The number of images.

    Raises:
        WriteError: The files cannot be written.
    """
    names, count, overviews = UnusedNames(), 0, 0
    remaining = iter(explanations)
    for page in iter(lambda: list(islice(remaining, MOST_IN_GRID)), []):
        for one in page:
            save_picture(one.picture(), folder / PICTURES / f"{names.take(one.path.stem)}.png")
        count += len(page)
        if count > 1:
            overviews += 1
            save_picture(draw_grid([one.explained for one in page], page[0].title), _overview(folder, overviews))
    while (old := _overview(folder, overviews + 1)).is_file():  # of an earlier call
        old.unlink()
        overviews += 1
    return count


def _overview(folder: Path, number: int) -> Path:
    return folder / f"overview_{number}.png"
