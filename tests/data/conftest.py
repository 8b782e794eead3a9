from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cuelight.data.base.packaged import load_photographs
from cuelight.data.datasets.digits import load_digits

WriteDigits = Callable[..., Path]
WriteMasks = Callable[..., None]


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


@pytest.fixture
def write_masks() -> WriteMasks:
    """Writes cut-outs of a photograph of coffee, and masks of three classes: dark, medium and bright."""
    (coffee,) = load_photographs(["coffee"], 120)

    def write(images: Path, masks: Path, count: int = 6, first: int = 0) -> None:
        images.mkdir(parents=True, exist_ok=True)
        masks.mkdir(parents=True, exist_ok=True)
        for number in range(first, first + count):
            cut = coffee[number : number + 48, 3 * number : 3 * number + 64]
            classes = np.digitize(cut.mean(axis=2), (80, 160)).astype(np.uint8)
            Image.fromarray(cut).save(images / f"{number:03}.jpg", quality=95)
            mask = Image.fromarray(classes)
            mask.putpalette([0, 0, 0, 128, 0, 0, 0, 128, 0])
            mask.save(masks / f"{number:03}.png")

    return write
