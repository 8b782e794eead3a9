"""Scenes whose objects touch, cross or contain each other, with the box of each."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import Tensor

from cuelight.data.targets.boxes import BoxTarget, box_target

Box = tuple[int, int, int, int]

COLORS = ((220, 60, 60), (60, 200, 80), (70, 90, 230), (230, 200, 50))


def touching(left: int, top: int, width: int, height: int) -> list[Box]:
    """Two boxes that share an edge."""
    middle = left + width // 2
    return [(left, top, middle, top + height), (middle, top, left + width, top + height)]


def nested(left: int, top: int, width: int, height: int) -> list[Box]:
    """A box, one inside it, and a second one there that shares a corner with it."""
    right, bottom = left + width, top + height
    inner = (left + width // 4, top + height // 4, right - width // 4, bottom - height // 4)
    return [(left, top, right, bottom), inner, (left, top, left + width // 3, top + height // 3)]


def crossing(left: int, top: int, width: int, height: int) -> list[Box]:
    """Two boxes that cross like a plus sign, and one that covers most of the second."""
    across = (left, top + height // 3, left + width, top + 2 * height // 3)
    upright = (left + width // 3, top, left + 2 * width // 3, top + height)
    return [across, upright, (upright[0], top, upright[2], top + 4 * height // 5)]


ARRANGEMENTS: tuple[Callable[[int, int, int, int], list[Box]], ...] = (touching, nested, crossing)


def overlapping_scene(seed: int, size: tuple[int, int] = (96, 128), classes: int = 4) -> tuple[Tensor, BoxTarget]:
    """Return an image, uint8 ``(3, H, W)``, and its boxes; the class of an object is its color.

    There is one arrangement of each kind, at random places, so that objects of different arrangements overlap too.
    """
    numbers = np.random.default_rng(seed)
    image = Image.new("RGB", (size[1], size[0]), (30, 30, 30))
    draw = ImageDraw.Draw(image)
    boxes: list[Box] = []
    labels: list[int] = []
    for arrange in ARRANGEMENTS:
        height, width = (int(numbers.integers(side // 4, side // 2)) for side in size)
        top, left = (int(numbers.integers(0, side - own)) for side, own in zip(size, (height, width), strict=True))
        for box in arrange(left, top, width, height):
            boxes.append(box)
            labels.append(int(numbers.integers(classes)))
            draw.rectangle((box[0], box[1], box[2] - 1, box[3] - 1), fill=COLORS[labels[-1] % len(COLORS)])
    pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1)
    return pixels, box_target(torch.tensor(boxes), torch.tensor(labels), size)
