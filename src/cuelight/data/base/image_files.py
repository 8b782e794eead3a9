"""Image files with a class each."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cuelight.data.reading import read_image


class ImageFiles:
    """Labelled image files.

    Args:
        paths: The files.
        labels: The class of each.
    """

    def __init__(self, paths: Sequence[str], labels: Sequence[int]) -> None:
        self.paths = list(paths)
        self.labels = list(labels)

    def __len__(self) -> int:
        """Number of files."""
        return len(self.paths)

    def __getitem__(self, index: int) -> tuple[Image.Image, int]:
        """Read one file.

        Args:
            index: Its position.

        Returns:
            The image and its label.

        Raises:
            UnreadableImageError: The file is missing, or is not a whole image.
        """
        return read_image(self.paths[index]), self.labels[index]

    def part(self, positions: Sequence[int] | NDArray[np.int64]) -> ImageFiles:
        """Take some of the files.

        Args:
            positions: Which ones.

        Returns:
            These alone, in this order.
        """
        return ImageFiles([self.paths[i] for i in positions], [self.labels[i] for i in positions])
