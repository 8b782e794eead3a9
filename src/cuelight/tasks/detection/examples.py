"""Pictures of example images with their true and predicted boxes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray
from PIL import Image

from cuelight.images.drawing import panel_grid, readable_size, resized, tiled
from cuelight.tasks.detection.decode import Detections
from cuelight.tasks.detection.matching import IGNORED, NONE, Objects, match
from cuelight.tasks.detection.picture import Marked, color_of, draw_boxes

if TYPE_CHECKING:  # it imports torch
    from cuelight.data.spec import DataSpec

_TITLES = ("truth, red: missed", "prediction, red: false alarm")
_MIN_WIDTH, _MAX_SIDE = 320, 512
TILES_IN_A_ROW, BETWEEN = 4, 8
_RIGHT, _WRONG, _UNCOUNTED = "#55bbee", "#ff4455", "#aaaaaa"


def draw_detection_examples(
    images: Sequence[Image.Image],
    targets: Sequence[Mapping[str, NDArray[Any]]],
    results: Sequence[Detections],
    class_names: Sequence[str] | None = None,  # noqa: ARG001 - the results have them
) -> Image.Image:
    """Draw input images with their true boxes and with the predicted ones, side by side.

    Misses and false alarms are red, regions to ignore and what is found there grey. All images are of one size.
    """
    return example_panels(images, targets, results, lambda _place, *panels: panels[:2])


def draw_true_boxes(images: Sequence[Image.Image], targets: Sequence[Mapping[str, Any]], data: DataSpec) -> Image.Image:
    """Draw training images with their boxes; regions to ignore are grey."""
    return tiled([tile for tile, _ in true_tiles(images, targets, data)], TILES_IN_A_ROW, (BETWEEN, BETWEEN))


def true_tiles(
    images: Sequence[Image.Image], targets: Sequence[Mapping[str, Any]], data: DataSpec
) -> list[tuple[Image.Image, float]]:
    """Return each image with its boxes, and the scale at which it is drawn."""
    size, names = readable_size(images[0].size, _MIN_WIDTH, _MAX_SIDE), [*(data.class_names or ())]
    scale, tiles = size[0] / images[0].width, []
    for image, target in zip(images, targets, strict=True):
        objects = objects_of(target)
        marked = [
            (box, _UNCOUNTED, "ignored")
            if crowd
            else (box, color_of(label), names[label] if label < len(names) else str(label))
            for box, label, crowd in zip(
                objects.boxes.tolist(), objects.labels.tolist(), objects.crowd.tolist(), strict=True
            )
        ]
        tiles.append((draw_boxes(resized(image.convert("RGB"), size), marked, scale), scale))
    return tiles


def example_panels(
    images: Sequence[Image.Image],
    targets: Sequence[Mapping[str, NDArray[Any]]],
    results: Sequence[Detections],
    finish: Callable[[int, Image.Image, Image.Image, float], Sequence[Image.Image]],
) -> Image.Image:
    """Draw truth and prediction of each image side by side.

    ``finish`` gets the number of an image, its two panels and their scale, and returns the panels to show.
    """
    size = readable_size(images[0].size, _MIN_WIDTH, _MAX_SIDE)
    panels = []
    for place, (image, target, result) in enumerate(zip(images, targets, results, strict=True)):
        shown, scale = resized(image.convert("RGB"), size), size[0] / image.width
        truth, prediction = (draw_boxes(shown, boxes, scale) for boxes in _marked(objects_of(target), result))
        panels.append(finish(place, truth, prediction, scale))
    return panel_grid(panels, _TITLES)


def rank_errors(target: Mapping[str, NDArray[Any]], result: Detections) -> float:
    """Return the number of misses in an image, and of false alarms by their scores."""
    objects = objects_of(target)
    matches = match(result.found, objects)
    hits = int((matches >= 0).sum())
    return len(objects.counted.labels) - hits + float(result.found.scores[matches == NONE].sum())


def objects_of(target: Mapping[str, NDArray[Any]]) -> Objects:
    """Return the objects of one image of a batch, without the padding."""
    real = target["labels"] >= 0
    return Objects(target["boxes"][real], target["labels"][real], target["crowd"][real])


def _marked(objects: Objects, result: Detections) -> tuple[list[Marked], list[Marked]]:
    matches, found, names = match(result.found, objects), result.found, result.names
    real, regions = objects.counted, objects[objects.crowd]
    truth = [(box, _UNCOUNTED, "ignored") for box in regions.boxes.tolist()]
    truth += [
        (box, _RIGHT if place in matches else _WRONG, names[label])
        for place, (box, label) in enumerate(zip(real.boxes.tolist(), real.labels.tolist(), strict=True))
    ]
    colors = {NONE: _WRONG, IGNORED: _UNCOUNTED}
    columns = (found.boxes.tolist(), found.scores.tolist(), found.labels.tolist(), matches.tolist())
    prediction = [
        (box, colors.get(place, _RIGHT), f"{names[label]} {score:.2f}")
        for box, score, label, place in zip(*columns, strict=True)
    ]
    return truth, prediction
