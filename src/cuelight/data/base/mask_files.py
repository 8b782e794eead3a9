"""Image files with a mask file each."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from cuelight.data.header import Header
from cuelight.data.reading import UnreadableImageError, open_image, read_with_header
from cuelight.errors import DataError
from cuelight.images.preprocessing import IGNORE_INDEX
from cuelight.images.value_range import ValueRange

Color = tuple[int, ...]
"""Red, green and blue, 0 to 255."""

_INDEX_MODES = ("P", "L", "1", "I", "I;16", "I;16B", "I;16L", "I;16N")
_LOOKED_AT = 32
_MOST_LISTED = 5
_PALETTE_OR_COLOR = ("P", "RGB", "RGBA")
_VOID = (224, 224, 192)  # the borders of objects in Pascal VOC
_TO_NUMBER = np.array([1 << 16, 1 << 8, 1], dtype=np.int32)


def read_mask(path: str, class_count: int, colors: Sequence[Color] = ()) -> NDArray[np.uint8]:
    """Read a mask upright: ``(H, W)``, class indices below ``class_count``, or ``IGNORE_INDEX`` for no class.

    With ``colors``, one for each class, a palette or color image is read by them. ``UnreadableImageError`` is raised
    for a missing or broken file, for another color image, and for other values.
    """
    return _read_mask(path, class_count, colors)[0]


class MaskFiles:
    """Image files with a mask file each; images of more than 8 bits need a ``value_range``.

    With ``colors``, one for each class, masks may be in these colors.
    """

    def __init__(
        self,
        paths: Sequence[str],
        masks: Sequence[str],
        class_names: Sequence[str],
        value_range: ValueRange | None = None,
        colors: Sequence[Color] = (),
    ) -> None:
        self.paths = list(paths)
        self.masks = list(masks)
        self.class_names = list(class_names)
        self.value_range = value_range
        self.colors = colors

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> tuple[Image.Image, Tensor]:
        """Read an image and its mask, uint8 ``(H, W)``.

        A file that cannot be read raises ``UnreadableImageError``, and so does a mask of another size than its image,
        and one that is turned by EXIF while the other is not, unless their sizes show that they match.
        """
        path, mask_path = self.paths[index], self.masks[index]
        image, of_image = read_with_header(path, self.value_range)
        mask, of_mask = _read_mask(mask_path, len(self.class_names), self.colors)
        height, width = mask.shape
        problem = _difference(path, of_image, of_mask)
        if (width, height) != image.size:
            reason = f"it has {width} x {height} pixels, but {path} has {image.width} x {image.height}"
            raise UnreadableImageError(mask_path, f"{reason}; {problem}" if problem else reason, "mask")
        sizes_prove_it = width != height and of_image.is_sideways != of_mask.is_sideways
        if problem and of_image.turned != of_mask.turned and not sizes_prove_it:
            raise UnreadableImageError(mask_path, problem, "mask")
        return image, torch.from_numpy(mask)

    def part(self, positions: Iterable[int]) -> MaskFiles:
        """Return the images at these positions, in this order."""
        chosen = list(positions)
        paths, masks = [self.paths[i] for i in chosen], [self.masks[i] for i in chosen]
        return MaskFiles(paths, masks, self.class_names, self.value_range, self.colors)


def refuse_masks_without_classes(files: MaskFiles) -> None:
    """Raise ``DataError`` for masks in which white was meant as a class: nothing could be learnt from them.

    A few of the masks are read, evenly spaced. If they hold ``IGNORE_INDEX`` and no class but 0, the others are read
    until one holds a class.
    """
    step = -(-len(files) // _LOOKED_AT) or 1
    suspicious = ({0, IGNORE_INDEX}, {IGNORE_INDEX})
    if _values_of(files.masks[::step], files) in suspicious and _values_of(files.masks, files) in suspicious:
        raise DataError(
            f"{files.masks[0]}: this mask and the others contain only class 0, and {IGNORE_INDEX} for pixels to "
            f"ignore. If white marks a class, write the index of the class instead, such as 1 for "
            f"{files.class_names[1 % len(files.class_names)]}."
        )


def _read_mask(path: str, class_count: int, colors: Sequence[Color] = ()) -> tuple[NDArray[np.uint8], Header]:
    image, header = open_image(path, "mask")
    if colors and image.mode in _PALETTE_OR_COLOR:
        return _classes_of_colors(path, image, colors), header
    expected = f"expected the class index of each pixel, 0 to {class_count - 1}, or {IGNORE_INDEX} to ignore it"
    if image.mode not in _INDEX_MODES:
        is_float = image.mode == "F"
        kind = "its values are no integers (mode F)" if is_float else f"it is a color image ({image.mode})"
        raise UnreadableImageError(path, f"{kind}; {expected}, in grayscale or with a palette", "mask")
    mask = np.asarray(image)
    foreign = mask[(mask != IGNORE_INDEX) & ((mask >= class_count) | (mask < 0))]
    if foreign.size:
        raise UnreadableImageError(path, f"it contains {_listed(np.unique(foreign))}; {expected}", "mask")
    return mask.astype(np.uint8), header


def _classes_of_colors(path: str, image: Image.Image, colors: Sequence[Color]) -> NDArray[np.uint8]:
    pixels = np.asarray(image.convert("RGB")).astype(np.int32) @ _TO_NUMBER
    known = np.array([*colors, _VOID], dtype=np.int32) @ _TO_NUMBER
    order = np.argsort(known, kind="stable")
    classes = order[np.searchsorted(known, pixels, sorter=order).clip(max=len(order) - 1)]
    if (foreign := np.unique(pixels[known[classes] != pixels])).size:
        red, green, blue = foreign[0] >> 16, foreign[0] >> 8 & 255, foreign[0] & 255
        reason = f"it contains the color {red},{green},{blue}, which is that of no class"
        raise UnreadableImageError(path, reason, "mask")
    return np.where(classes < len(colors), classes, IGNORE_INDEX).astype(np.uint8)


def _difference(path: str, image: Header, mask: Header) -> str:
    """Return how the EXIF orientation of a mask differs from that of its image; empty if it does not."""
    if image.orientation == mask.orientation:
        return ""
    return (
        f"its EXIF orientation is {mask.orientation}, but that of {path} is {image.orientation} (1 is upright, and "
        "none), and each is turned by its own. Save both upright and without EXIF orientation"
    )


def _values_of(masks: Iterable[str], files: MaskFiles) -> set[int]:
    """Return the values of the masks up to the first that holds a class; one that is unreadable is left out."""
    values: set[int] = set()
    for path in masks:
        with suppress(UnreadableImageError):  # reported when it is loaded
            values |= set(np.unique(read_mask(path, len(files.class_names), files.colors)).tolist())
        if not values <= {0, IGNORE_INDEX}:
            break
    return values


def _listed(values: NDArray[Any]) -> str:
    shown = ", ".join(str(value) for value in values[:_MOST_LISTED])
    return f"{shown}, ..." if len(values) > _MOST_LISTED else shown
