"""Image files with a label each."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cuelight.data.reading import read_image


class ImageFiles:
    """Image files with a label each."""

    def __init__(self, paths: Sequence[str], labels: Sequence[int]) -> None:
        self.paths = list(paths)
        self.labels = list(labels)

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> tuple[Image.Image, int]:
        return read_image(self.paths[index]), self.labels[index]

    def part(self, positions: Sequence[int] | NDArray[np.int64]) -> ImageFiles:
        """Return the files at these positions, in this order."""
        return ImageFiles([self.paths[i] for i in positions], [self.labels[i] for i in positions])
