"""One look at every image of a dataset."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import imagehash
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torchvision.transforms.v2.functional import to_pil_image

from cuelight.data.base.image_data_module import ImageDataModule
from cuelight.data.reading import Unreadable, UnreadableImageError
from cuelight.data.targets.multi_labels import PRESENT, UNKNOWN
from cuelight.images.preprocessing import IGNORE_INDEX, Preprocessing
from cuelight.images.value_range import has_more_than_8_bits

Progress = Callable[[Iterator[Any], int], Iterator[Any]]

_HASHED_SIDE, _SMALL_SIDE = 32, 16
_MOST_THREADS = 8


@dataclass(frozen=True)
class ImageRecord:
    """What is kept of an image.

    Args:
        name: Its path, or its split and number if it is in no file.
        size: Width and height in pixels.
        mode: As Pillow names it once it is decoded, such as RGB.
        classes: The class of each object; of a mask, each class in it once. Regions to ignore do not count.
        unknown: Number of classes of which it is not known whether the image has them.
        boxes: float32 ``(n, 4)``: left, top, right and bottom in pixels of the model input; ``None`` without boxes.
        has_repeated_objects: Whether two objects have the same box and class.
        content: Hash of the file, or of the pixels.
        bits: bool ``(64,)``, a perceptual hash.
        small: uint8 ``(256,)``, the image in grey at 16 x 16 pixels.
    """

    name: str
    size: tuple[int, int]
    mode: str
    classes: tuple[int, ...]
    unknown: int
    boxes: NDArray[np.float32] | None
    has_repeated_objects: bool
    content: str
    bits: NDArray[np.bool_]
    small: NDArray[np.uint8]


def read_split(
    data: ImageDataModule[Any], split: str, progress: Progress
) -> tuple[list[ImageRecord], list[Unreadable]]:
    """Return what is kept of the images of a split, and those that cannot be read; ``progress`` shows how far it is."""
    images = data.images_of(split)
    paths = getattr(images, "paths", None)

    def read(place: int) -> ImageRecord | Unreadable:
        try:
            image, target = images[place]
        except UnreadableImageError as error:
            return error.unreadable
        boxes, has_repeated_objects = _boxes(target, data.target_kind, data.preprocessing)
        name = str(paths[place]) if paths else f"{split} {place}"
        return _record(name, image, target, boxes, has_repeated_objects)

    with ThreadPoolExecutor(min(_MOST_THREADS, os.cpu_count() or 1)) as threads:
        found = list(progress(threads.map(read, range(len(images))), len(images)))
    records = [one for one in found if isinstance(one, ImageRecord)]
    return records, [one for one in found if isinstance(one, Unreadable)]


def _boxes(target: Any, kind: Any, preprocessing: Preprocessing) -> tuple[NDArray[np.float32] | None, bool]:
    if not isinstance(target, Mapping):
        return None, False
    objects = ~target["crowd"]
    written = torch.column_stack([target["boxes"].as_subclass(torch.Tensor), target["labels"]])[objects]
    fitted = kind.fit(target, preprocessing)
    boxes: NDArray[np.float32] = fitted["boxes"].as_subclass(torch.Tensor)[~fitted["crowd"]].numpy()
    return boxes, len(torch.unique(written, dim=0)) < len(written)


def _record(
    name: str, image: Any, target: Any, boxes: NDArray[np.float32] | None, has_repeated_objects: bool
) -> ImageRecord:
    is_file = os.path.isfile(name)  # noqa: PTH113 - for each of 10^6 files
    content = Path(name).read_bytes() if is_file else np.asarray(image).tobytes()
    picture = to_pil_image(image) if isinstance(image, torch.Tensor) else image
    gray = _gray(picture).resize((_HASHED_SIDE, _HASHED_SIDE), Image.Resampling.LANCZOS)
    classes, unknown = classes_in(target)
    return ImageRecord(
        name,
        picture.size,
        picture.mode,
        tuple(classes),
        unknown,
        boxes,
        has_repeated_objects,
        hashlib.sha256(content).hexdigest(),
        imagehash.phash(gray).hash.ravel(),
        np.asarray(gray.resize((_SMALL_SIDE, _SMALL_SIDE), Image.Resampling.BOX)).ravel(),
    )


def _gray(image: Image.Image) -> Image.Image:
    if not has_more_than_8_bits(image):
        return image.convert("L")
    values = np.asarray(image, np.float64)
    low, high = values.min(), values.max()
    return Image.fromarray((255 * (values - low) / max(high - low, 1e-9)).astype(np.uint8))


def classes_in(target: Any) -> tuple[list[int], int]:
    """Return the class of each object, or each class of a mask once, and the number of classes that are not known."""
    if isinstance(target, Mapping):
        return [int(label) for label in target["labels"][~target["crowd"]]], 0
    values = np.asarray(target)
    if values.ndim == 0:
        return [int(values)], 0
    if values.ndim == 1:  # the labels of an image
        return np.flatnonzero(values == PRESENT).tolist(), int((values == UNKNOWN).sum())
    return [int(label) for label in np.flatnonzero(np.bincount(values.ravel())) if label != IGNORE_INDEX], 0
