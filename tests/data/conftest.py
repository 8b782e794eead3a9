from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cuelight.data.digits import load_digits

WriteDigits = Callable[..., Path]


@pytest.fixture
def write_digits() -> WriteDigits:
    """Writes handwritten digits as PNG files, one folder per class."""

    def write(
        folder: Path, per_class: int = 12, first: int = 0, classes: tuple[str, ...] = ("one", "two", "zero")
    ) -> Path:
        images, labels = load_digits()
        for digit, name in enumerate(classes):
            (folder / name).mkdir(parents=True)
            for number, position in enumerate(np.flatnonzero(labels == digit)[first : first + per_class]):
                Image.fromarray(images[position, 0]).save(folder / name / f"{number:03}.png")
        return folder

    return write


@pytest.fixture
def digit_files(tmp_path: Path, write_digits: WriteDigits) -> Path:
    """36 digits in three class folders."""
    return write_digits(tmp_path / "digits")
