"""Pictures of images with boxes and skeletons."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from cuelight.images.drawing import COLORS
from cuelight.tasks.detection.picture import draw_detections
from cuelight.tasks.keypoints.decode import KeypointDetections

VISIBLE = 0.5
"""The least probability of a point that is drawn as visible."""

_LINE = "#ffffff"


def draw_keypoints(image: Image.Image, result: KeypointDetections) -> Image.Image:
    """Draw an image with its boxes and their skeletons; hidden points are rings."""
    picture = draw_detections(image, result)
    return draw_skeletons(picture, result.found.points, result.how.skeleton_edges, picture.width / image.width)


def draw_skeletons(
    image: Image.Image, points: NDArray[np.floating], edges: Iterable[Sequence[int]], scale: float
) -> Image.Image:
    """Return a copy of an RGB image with points, whose pixels are multiplied by ``scale``.

    Args:
        image: The image.
        points: ``(n, K, 3)``: x, y, and how visible: 0.5 and above is visible, NaN and below 0 not drawn.
        edges: The points that are joined by a line.
        scale: Pixels of the image for each of the points.
    """
    picture = image.copy()
    draw = ImageDraw.Draw(picture)
    radius = max(2, round(max(image.size) / 160))
    for one in points.tolist():
        places = [(x * scale, y * scale) if seen >= 0 else None for x, y, seen in one]
        for first, second in edges:
            if (start := places[first]) and (end := places[second]):
                draw.line((*start, *end), fill=_LINE, width=max(1, radius // 2))
        for number, (place, (*_, seen)) in enumerate(zip(places, one, strict=True)):
            if place:
                x, y = place
                color = COLORS[number % len(COLORS)]
                circle = (x - radius, y - radius, x + radius, y + radius)
                draw.ellipse(circle, outline=color, fill=color if seen >= VISIBLE else None, width=2)
    return picture
