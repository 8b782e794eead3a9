"""Pictures of example images with their true and predicted boxes and points."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cuelight.tasks.detection.examples import example_panels
from cuelight.tasks.keypoints.decode import KeypointDetections, point_objects_of
from cuelight.tasks.keypoints.picture import draw_skeletons

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
        true, result = point_objects_of(targets[place]).points.copy(), results[place]
        true[..., 2] = _SHOWN[true[..., 2].astype(int)]
        edges = result.how.skeleton_edges
        found = result.found.points
        return [draw_skeletons(truth, true, edges, scale), draw_skeletons(prediction, found, edges, scale)]

    return example_panels(images, targets, results, add_points)
