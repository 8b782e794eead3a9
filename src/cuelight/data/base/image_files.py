"""Image files with a label each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cuelight.data.reading import read_image
from cuelight.images.value_range import ValueRange

if TYPE_CHECKING:
    from typing_extensions import Self


class ImageFiles:
    """Image files with a label each; those of more than 8 bits need a ``value_range``."""

    def __init__(self, paths: Sequence[str], labels: Sequence[Any], value_range: ValueRange | None = None) -> None:
        self.paths = list(paths)
        self.labels = list(labels)
        self.value_range = value_range

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> tuple[Image.Image, Any]:
        return read_image(self.paths[index], self.value_range), self.labels[index]

    def part(self, positions: Sequence[int] | NDArray[np.int64]) -> Self:
        """Return the files at these positions, in this order."""
        paths, labels = [self.paths[i] for i in positions], [self.labels[i] for i in positions]
        return type(self)(paths, labels, self.value_range)
