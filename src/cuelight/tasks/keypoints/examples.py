"""Pictures of example images with their true and predicted boxes and points."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cuelight.images.drawing import tiled
from cuelight.tasks.detection.examples import BETWEEN, TILES_IN_A_ROW, example_panels, true_tiles
from cuelight.tasks.keypoints.decode import KeypointDetections, point_objects_of
from cuelight.tasks.keypoints.picture import draw_skeletons

if TYPE_CHECKING:  # it imports torch
    from cuelight.data.spec import DataSpec

_SHOWN = np.array([-1.0, 0.0, 1.0])  # by the visibility of a label: none, hidden, visible


def draw_keypoint_examples(
    images: Sequence[Image.Image],
    targets: Sequence[Mapping[str, NDArray[Any]]],
    results: Sequence[KeypointDetections],
    class_names: Sequence[str] | None = None,  # noqa: ARG001 - the results have them
) -> Image.Image:
    """Draw input images with their true boxes and points and with the predicted ones, side by side.

    Misses and false alarms are red, regions to ignore and what is found there grey; hidden points are rings. All images
    are of one size.
    """

    def add_points(place: int, truth: Image.Image, prediction: Image.Image, scale: float) -> list[Image.Image]:
        true, result = _true_points(targets[place]), results[place]
        edges = result.how.skeleton_edges
        found = result.found.points
        return [draw_skeletons(truth, true, edges, scale), draw_skeletons(prediction, found, edges, scale)]

    return example_panels(images, targets, results, add_points)


def draw_true_points(
    images: Sequence[Image.Image], targets: Sequence[Mapping[str, Any]], data: DataSpec
) -> Image.Image:
    """Draw training images with their boxes and points; hidden points are rings."""
    edges = data.skeleton.edges if data.skeleton else ()
    tiles = [
        draw_skeletons(tile, _true_points(target), edges, scale)
        for (tile, scale), target in zip(true_tiles(images, targets, data), targets, strict=True)
    ]
    return tiled(tiles, TILES_IN_A_ROW, (BETWEEN, BETWEEN))


def _true_points(target: Mapping[str, NDArray[Any]]) -> NDArray[np.floating]:
    points = point_objects_of(target).points.copy()
    points[..., 2] = _SHOWN[points[..., 2].astype(int)]
    return points
