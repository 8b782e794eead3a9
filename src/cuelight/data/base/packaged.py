"""Files in installed packages, found without importing the package."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cuelight.errors import DataError

_SKIMAGE = ("skimage", "data")
_SKLEARN = ("sklearn", "datasets", "images")

_NAME_ON_PYPI = {"skimage": "scikit-image", "sklearn": "scikit-learn"}

_PHOTOGRAPHS = {
    "astronaut": (*_SKIMAGE, "astronaut.png"),
    "brick": (*_SKIMAGE, "brick.png"),
    "camera": (*_SKIMAGE, "camera.png"),
    "chelsea": (*_SKIMAGE, "chelsea.png"),
    "coffee": (*_SKIMAGE, "coffee.png"),
    "coins": (*_SKIMAGE, "coins.png"),
    "grass": (*_SKIMAGE, "grass.png"),
    "gravel": (*_SKIMAGE, "gravel.png"),
    "hubble": (*_SKIMAGE, "hubble_deep_field.jpg"),
    "ihc": (*_SKIMAGE, "ihc.png"),
    "moon": (*_SKIMAGE, "moon.png"),
    "motorcycle": (*_SKIMAGE, "motorcycle_left.png"),
    "retina": (*_SKIMAGE, "retina.jpg"),
    "rocket": (*_SKIMAGE, "rocket.jpg"),
    "china": (*_SKLEARN, "china.jpg"),
    "flower": (*_SKLEARN, "flower.jpg"),
}


def packaged_file(package: str, *parts: str) -> Path:
    """Return the path of a file in an installed package; the file may be missing.

    A package that is not installed raises ``DataError``.
    """
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise DataError(
            f"the package {_NAME_ON_PYPI.get(package, package)}, which contains the images, is not installed. "
            'Run: pip install "cuelight[demo]"'
        )
    return Path(spec.submodule_search_locations[0], *parts)


def load_photographs(names: Sequence[str], shorter_side: int) -> list[NDArray[np.uint8]]:
    """Read photographs as uint8 ``(H, W, 3)``, RGB, with the shorter side scaled to ``shorter_side`` pixels."""
    return [_load_photograph(packaged_file(*_PHOTOGRAPHS[name]), shorter_side) for name in names]


def _load_photograph(file: Path, shorter_side: int) -> NDArray[np.uint8]:
    try:
        with Image.open(file) as image:
            photograph = image.convert("RGB")
    except OSError as error:
        raise DataError(
            f'{file} cannot be read: {error}. Run: pip install --force-reinstall "cuelight[demo]"'
        ) from error
    scale = shorter_side / min(photograph.size)
    width, height = (max(shorter_side, round(side * scale)) for side in photograph.size)
    return np.asarray(photograph.resize((width, height), Image.Resampling.BILINEAR))
