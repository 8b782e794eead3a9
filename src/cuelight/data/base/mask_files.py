"""Image files with a mask file each."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from cuelight.data.reading import UnreadableImageError, open_image, read_image, set_upright
from cuelight.errors import DataError
from cuelight.images.preprocessing import IGNORE_INDEX

_INDEX_MODES = ("P", "L", "1", "I", "I;16")
_LOOKED_AT = 32
_MOST_LISTED = 5


def read_mask(path: str, class_count: int) -> NDArray[np.uint8]:
    """Read a mask, upright: a grey or palette image whose pixels hold the index of their class.

    Args:
        path: The file.
        class_count: Number of classes.

    Returns:
        ``(H, W)``: indices below ``class_count``, or ``IGNORE_INDEX`` for pixels that belong to no class.

    Raises:
        UnreadableImageError: The file is missing, is not a whole image, or holds something else.
    """
    mask = open_image(path, "mask", _indices)
    expected = f"expected the index of each pixel's class, 0 to {class_count - 1}, or {IGNORE_INDEX} for none"
    if isinstance(mask, str):
        raise UnreadableImageError(
            path, f"it is a picture in colours ({mask}); {expected}, in grey or a palette", "mask"
        )
    foreign = mask[(mask != IGNORE_INDEX) & ((mask >= class_count) | (mask < 0))]
    if foreign.size:
        raise UnreadableImageError(path, f"it holds {_listed(np.unique(foreign))}; {expected}", "mask")
    return mask.astype(np.uint8)


class MaskFiles:
    """Image files, and the file of the mask of each.

    Args:
        paths: The images.
        masks: The mask of each.
        class_names: The name of each class.
    """

    def __init__(self, paths: Sequence[str], masks: Sequence[str], class_names: Sequence[str]) -> None:
        self.paths = list(paths)
        self.masks = list(masks)
        self.class_names = list(class_names)

    def __len__(self) -> int:
        """Number of images."""
        return len(self.paths)

    def __getitem__(self, index: int) -> tuple[Image.Image, Tensor]:
        """Read one image and its mask.

        Args:
            index: Its position.

        Returns:
            The image, and its mask, uint8 ``(H, W)``.

        Raises:
            UnreadableImageError: A file is missing, is not what it has to be, or the two differ in size.
        """
        image = read_image(self.paths[index])
        mask = read_mask(self.masks[index], len(self.class_names))
        height, width = mask.shape
        if (width, height) != image.size:
            reason = f"it has {width} x {height} pixels, and {self.paths[index]} has {image.width} x {image.height}"
            raise UnreadableImageError(self.masks[index], reason, "mask")
        return image, torch.from_numpy(mask)

    def part(self, positions: Iterable[int]) -> MaskFiles:
        """Take some of the images.

        Args:
            positions: Which ones.

        Returns:
            These alone, in this order.
        """
        chosen = list(positions)
        return MaskFiles([self.paths[i] for i in chosen], [self.masks[i] for i in chosen], self.class_names)


def refuse_masks_without_classes(files: MaskFiles) -> None:
    """Refuse masks in which white stands for a class, before a training learns nothing of them.

    Args:
        files: Some of its masks are read, evenly spaced.

    Raises:
        DataError: Those that can be read hold 0 and ``IGNORE_INDEX`` alone, and not all of them only 0.
    """
    step = -(-len(files) // _LOOKED_AT) or 1
    values = {value for path in files.masks[::step] for value in _values_if_readable(path, len(files.class_names))}
    if values in ({0, IGNORE_INDEX}, {IGNORE_INDEX}):
        raise DataError(
            f"{files.masks[0]}: this mask and the others hold no class but 0, and {IGNORE_INDEX}, which stands for "
            f"pixels that count nowhere. Where white means a class, write its index instead, such as 1 for "
            f"{files.class_names[1 % len(files.class_names)]}."
        )


def _indices(image: Image.Image) -> NDArray[Any] | str:
    """The values of a grey or palette image; the mode of any other."""
    if image.mode not in _INDEX_MODES:
        return image.mode
    set_upright(image)
    values: NDArray[Any] = np.asarray(image)
    return values


def _values_if_readable(path: str, class_count: int) -> Iterable[int]:
    """The values of a mask; none of one that cannot be read, which is reported when its image is loaded."""
    try:
        values: list[int] = np.unique(read_mask(path, class_count)).tolist()
    except UnreadableImageError:
        return []
    return values


def _listed(values: NDArray[Any]) -> str:
    shown = ", ".join(str(value) for value in values[:_MOST_LISTED])
    return f"{shown}, ..." if len(values) > _MOST_LISTED else shown
