"""The true objects of an image with their points."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cuelight.tasks.detection.matching import Objects


@dataclass(frozen=True)
class PointObjects(Objects):
    """The true objects of an image.

    Args:
        points: float32 ``(G, K, 3)``: x and y in pixels, and the visibility: 0 without a label, 1 hidden, 2 visible.
    """

    points: NDArray[np.float32]


def point_objects_of(target: Mapping[str, NDArray[Any]]) -> PointObjects:
    """Return the objects of one image of a batch, without the padding."""
    points = np.concatenate([target["points"], target["visibility"][..., None]], axis=-1).astype(np.float32)
    every = PointObjects(target["boxes"], target["labels"], target["crowd"], points)
    return every[target["labels"] >= 0]
