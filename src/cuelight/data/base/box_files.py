"""Image files with the boxes of their objects."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from cuelight.data.base.box_annotations import RELATIVE, AnnotatedImage
from cuelight.data.base.splits import rarest_labels
from cuelight.data.reading import UnreadableImageError, read_with_header
from cuelight.data.targets.boxes import BoxTarget, box_target
from cuelight.data.targets.keypoints import keypoint_target
from cuelight.images.value_range import ValueRange

Coordinates = NDArray[np.float32]

_SIDEWAYS = 5
# The EXIF orientations whose upright image is mirrored, after its sides have changed places from 5 on.
_LEFT_IS_RIGHT = frozenset({2, 3, 6, 7})
_TOP_IS_BOTTOM = frozenset({3, 4, 7, 8})


class ImageBoxes(NamedTuple):
    """The objects of an image: boxes ``(n, 4)`` in units of ``size`` (width, height), labels and crowd ``(n,)``.

    Data of keypoints has ``points`` ``(n, K, 3)``, too: x and y in the same units, and the visibility.
    """

    size: tuple[int, int] | None
    boxes: Coordinates
    labels: NDArray[np.int64]
    crowd: NDArray[np.bool_]
    points: Coordinates | None = None


class BoxFiles:
    """Image files with the boxes of their objects; images of more than 8 bits need a ``value_range``."""

    def __init__(
        self, paths: Sequence[str], objects: Sequence[ImageBoxes], value_range: ValueRange | None = None
    ) -> None:
        self.paths = list(paths)
        self.objects = list(objects)
        self.value_range = value_range

    @classmethod
    def of_images(
        cls,
        images: Sequence[AnnotatedImage],
        class_names: Sequence[str],
        value_range: ValueRange | None,
        points: int = 0,
    ) -> BoxFiles:
        """Label the objects by their class names, all of which are in ``class_names``; ``points`` each has."""
        label_of = {name: label for label, name in enumerate(class_names)}
        return cls(
            [image.path for image in images], [_to_arrays(image, label_of, points) for image in images], value_range
        )

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> tuple[Image.Image, BoxTarget]:
        """Read an image and its boxes in pixels.

        Boxes that were drawn on the image as it is stored are turned upright with it; the size for which they are given
        tells. ``UnreadableImageError`` is raised if the image cannot be read or has another size.
        """
        path, objects = self.paths[index], self.objects[index]
        image, header = read_with_header(path, self.value_range)
        boxes, size = np.concatenate([objects.boxes, _as_boxes(objects.points)]), objects.size
        if size == RELATIVE:
            boxes = boxes * np.array(image.size * 2, dtype=np.float32)
        elif size is not None and size != image.size:
            if not header.is_sideways or size != image.size[::-1]:
                reason = f"it is for {size[0]} x {size[1]} pixels, but the image has {image.width} x {image.height}"
                raise UnreadableImageError(path, reason, "annotation of this image")
            boxes = turn_upright(boxes, size, header.orientation)
        boxes, places = np.split(boxes, [len(objects.boxes)])
        boxes = np.clip(boxes, 0, np.array(image.size * 2, dtype=np.float32))
        if (boxes[:, 2:] <= boxes[:, :2]).any():
            raise UnreadableImageError(path, "a box is outside of the image", "annotation of this image")
        labels, crowd = torch.from_numpy(objects.labels), torch.from_numpy(objects.crowd)
        upright = (image.height, image.width)
        if objects.points is None:
            return image, box_target(torch.from_numpy(boxes), labels, upright, crowd)
        points = objects.points.copy()
        points[..., :2] = places[:, :2].reshape(*points.shape[:2], 2)
        return image, keypoint_target(torch.from_numpy(boxes), labels, torch.from_numpy(points), upright, crowd)

    def part(self, positions: Iterable[int]) -> BoxFiles:
        """Return the images at these positions, in this order."""
        chosen = list(positions)
        return BoxFiles([self.paths[i] for i in chosen], [self.objects[i] for i in chosen], self.value_range)

    def seen_labels(self) -> NDArray[np.int64]:
        """Return the label of every object, without regions to ignore."""
        return np.concatenate([np.empty(0, np.int64), *(each.labels[~each.crowd] for each in self.objects)])

    def rarest_labels(self) -> list[int]:
        """Return for each image the label of its class that the fewest images have; -1 without objects."""
        return rarest_labels([np.unique(each.labels) for each in self.objects])


def turn_upright(boxes: Coordinates, size: tuple[int, int], orientation: int) -> Coordinates:
    """Turn boxes with an image of this EXIF orientation; ``size`` is its width and height as it is stored."""
    left, top, right, bottom = boxes.T
    width, height = size
    if orientation >= _SIDEWAYS:
        left, top, right, bottom, width, height = top, left, bottom, right, height, width
    if orientation in _LEFT_IS_RIGHT:
        left, right = width - right, width - left
    if orientation in _TOP_IS_BOTTOM:
        top, bottom = height - bottom, height - top
    return np.stack([left, top, right, bottom], axis=1)


def _to_arrays(image: AnnotatedImage, label_of: dict[str, int], count: int) -> ImageBoxes:
    return ImageBoxes(
        image.size,
        np.array([each.box for each in image.objects], dtype=np.float32).reshape(-1, 4),
        np.array([label_of[each.name] for each in image.objects], dtype=np.int64),
        np.array([each.crowd for each in image.objects], dtype=bool),
        _points_of(image, count) if count else None,
    )


def _points_of(image: AnnotatedImage, count: int) -> Coordinates:
    return np.array([each.points for each in image.objects], dtype=np.float32).reshape(-1, count, 3)


def _as_boxes(points: Coordinates | None) -> Coordinates:
    """Return points as boxes without a size, which are turned and scaled alike."""
    if points is None:
        return np.empty((0, 4), np.float32)
    return np.tile(points[..., :2].reshape(-1, 2), 2)
