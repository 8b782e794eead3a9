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
from cuelight.images.preprocessing import IGNORE_INDEX
from cuelight.images.value_range import has_more_than_8_bits

_HASHED_SIDE, _SMALL_SIDE = 32, 16
_MOST_THREADS = 8


@dataclass(frozen=True)
class Seen:
    """What is kept of an image.

    Args:
        name: Its path, or its split and number if it is in no file.
        size: Width and height in pixels.
        mode: As Pillow names it, such as RGB.
        classes: The class of each object; of a mask, each class in it once.
        boxes: float32 ``(n, 4)``: left, top, right and bottom in pixels of the model input; ``None`` without boxes.
        content: Hash of the file, or of the pixels.
        bits: bool ``(64,)``, a perceptual hash.
        small: uint8 ``(256,)``, the image in grey at 16 x 16 pixels.
    """

    name: str
    size: tuple[int, int]
    mode: str
    classes: tuple[int, ...]
    boxes: NDArray[np.float32] | None
    content: str
    bits: NDArray[np.bool_]
    small: NDArray[np.uint8]


def look_at(
    data: ImageDataModule[Any], split: str, show: Callable[[Iterator[Any], int], Iterator[Any]]
) -> tuple[list[Seen], list[Unreadable]]:
    """Return what is seen of the images of a split, and those that cannot be read; ``show`` shows the progress."""
    images = data.images_of(split)
    paths = getattr(images, "paths", None)

    def look(place: int) -> Seen | Unreadable:
        try:
            image, target = images[place]
        except UnreadableImageError as error:
            return error.unreadable
        boxes = None
        if isinstance(target, Mapping):
            boxes = data.target_kind.fit(target, data.preprocessing)["boxes"].as_subclass(torch.Tensor).numpy()
        return _seen(image, target, boxes, Path(paths[place]) if paths else f"{split} {place}")

    with ThreadPoolExecutor(min(_MOST_THREADS, os.cpu_count() or 1)) as threads:
        found = list(show(threads.map(look, range(len(images))), len(images)))
    seen = [one for one in found if isinstance(one, Seen)]
    return seen, [one for one in found if isinstance(one, Unreadable)]


def _seen(image: Any, target: Any, boxes: NDArray[np.float32] | None, name: Path | str) -> Seen:
    content = name.read_bytes() if isinstance(name, Path) else np.asarray(image).tobytes()
    picture = to_pil_image(image) if isinstance(image, torch.Tensor) else image
    gray = _gray(picture).resize((_HASHED_SIDE, _HASHED_SIDE), Image.Resampling.LANCZOS)
    return Seen(
        str(name),
        picture.size,
        picture.mode,
        tuple(classes_in(target)),
        boxes,
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


def classes_in(target: Any) -> list[int]:
    """Return the class of each object of a target without regions to ignore; of a mask, each class in it once."""
    if isinstance(target, Mapping):
        return [int(label) for label in target["labels"][~target["crowd"]]]
    values = torch.as_tensor(target)
    if values.ndim == 0:
        return [int(values)]
    if values.ndim == 1:  # of several labels, those that are set
        return [int(label) for label in torch.nonzero(values > 0)[:, 0]]
    return [int(label) for label in torch.unique(values) if label != IGNORE_INDEX]
