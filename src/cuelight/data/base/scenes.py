"""Scenes of digits on photographs, each drawn from a seed and its index alone."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Pixels = NDArray[np.uint8]
Numbers = NDArray[np.float64]

MOST_DIGITS = 20

# A new digit may overlap others in at most this share of its pixels and of theirs.
_MOST_COVERED = 0.05
TRIES = 6

_INK = 20  # height or width of the ink of a digit, in pixels of 28
_DEGREES = 10
_GROUND = (30, 100)  # mean brightness of a background; a lighter one is darkened
_CONTRAST = 100  # least difference in brightness between a digit and its background
_WHITE = 255.0
_SHOWN = 127  # a pixel belongs to a digit if its ink covers more than half of it
_LUMA = np.array([0.299, 0.587, 0.114])

# Random numbers for each; a scene draws all of them at once, which makes it fast.
OF_BACKGROUND = 6
_OF_DIGIT = 8 + 2 * TRIES


class Scene(NamedTuple):
    """An image, and the object that each of its pixels belongs to.

    Args:
        image: uint8 ``(H, W, 3)``, RGB.
        instances: uint8 ``(H, W)``: 0 for the background, i + 1 for object i.
        labels: uint8 ``(objects,)``: the digit of each object.
    """

    image: Pixels
    instances: Pixels
    labels: Pixels


class SceneDrawer:
    """Draws handwritten digits of varied colour, size and slant on cut-outs of photographs.

    Scene i of a drawer is the same on any machine, whatever was drawn before.

    Args:
        digits: uint8 ``(N, 28, 28)``, white on black.
        labels: The digit in each; ``(N,)``.
        photographs: uint8 ``(H, W, 3)`` each, no side smaller than that of a scene.
        size: Height and width of a scene in pixels.
        digits_per_scene: Least and greatest number of digits; fewer where there is no room left.
        seed: Any two 64-bit numbers, such as one for the dataset and one for the split.
        heights: Least and greatest height of a digit, relative to the shorter side of the scene.
        apart: Whether the bounding boxes of digits are kept apart, too.
    """

    def __init__(
        self,
        digits: Pixels,
        labels: Sequence[int] | NDArray[np.int64],
        photographs: Sequence[Pixels],
        size: tuple[int, int],
        digits_per_scene: tuple[int, int],
        seed: tuple[int, int],
        heights: tuple[float, float],
        apart: bool = False,
    ) -> None:
        self.digits = [Image.fromarray(digit) for digit in digits]
        self.labels = np.asarray(labels, dtype=np.uint8)
        self.photographs = [Image.fromarray(photograph) for photograph in photographs]
        self.size = size
        self.digits_per_scene = digits_per_scene
        self.heights = heights
        self.apart = apart
        self._key = int(np.random.SeedSequence(seed).generate_state(1, np.uint64)[0])

    def __call__(self, index: int) -> Scene:
        """Draw the scene of an index from 0; it has at least one digit."""
        least, most = self.digits_per_scene
        numbers = self._numbers(index, 1 + OF_BACKGROUND + most * _OF_DIGIT)
        count = least + below(numbers[0], most - least + 1)
        image = self._background(numbers[1 : 1 + OF_BACKGROUND])
        instances, claims = np.zeros((2, *self.size), dtype=np.uint8)
        areas: list[int] = []
        labels: list[int] = []
        for of_digit in numbers[1 + OF_BACKGROUND :].reshape(most, _OF_DIGIT)[:count]:
            chosen = below(of_digit[0], len(self.digits))
            stroke = self._stroke(chosen, of_digit[1:4])
            shown = stroke > _SHOWN
            claimed = np.ones_like(shown) if self.apart else shown
            place = free_place(claims, areas, claimed, of_digit[8:], 0 if self.apart else _MOST_COVERED)
            if place is None:
                continue
            paint(image[place], stroke, of_digit[4:8])
            for taken, region in ((instances, shown), (claims, claimed)):
                taken[place][region] = len(areas) + 1
            areas.append(int(claimed.sum()))
            labels.append(int(self.labels[chosen]))
        return Scene(image, instances, np.array(labels, dtype=np.uint8))

    def _numbers(self, index: int, count: int) -> Numbers:
        """Return random numbers from 0 to 1 for the scene of an index."""
        # Later versions of NumPy may change the methods of a Generator, but not the stream of its plain numbers.
        key = np.array([self._key, index], dtype=np.uint64)
        return np.random.Generator(np.random.Philox(key=key)).random(count)

    def _background(self, numbers: Numbers) -> Pixels:
        photograph = self.photographs[below(numbers[0], len(self.photographs))]
        height, width = self.size
        largest = min(photograph.height / height, photograph.width / width)
        zoom = 1 + numbers[1] * (largest - 1)
        left = numbers[2] * (photograph.width - width * zoom)
        top = numbers[3] * (photograph.height - height * zoom)
        box = (left, top, left + width * zoom, top + height * zoom)
        cut = np.asarray(photograph.resize((width, height), Image.Resampling.BILINEAR, box=box))
        if numbers[4] < 0.5:  # noqa: PLR2004
            cut = cut[:, ::-1]
        darkest, lightest = _GROUND
        wanted = darkest + (lightest - darkest) * numbers[5]
        return (cut * np.float32(min(1.0, wanted / max(1.0, _brightness(cut))))).astype(np.uint8)

    def _stroke(self, chosen: int, numbers: Numbers) -> Pixels:
        """The share of ink in each pixel, 0 to 255: a digit, slanted, scaled and cropped to its edges."""
        low, high = self.heights
        height = (low + numbers[0] * (high - low)) * min(self.size)
        angle = math.radians(round((2 * numbers[1] - 1) * _DEGREES))
        stretch = 0.85 + 0.3 * numbers[2]
        digit = self.digits[chosen]
        scale = _INK / height
        side = math.ceil(height * 1.5)
        centre = side / 2
        cosine, sine = math.cos(angle) * scale, math.sin(angle) * scale
        across = (cosine / stretch, sine / stretch)
        middle = digit.width / 2
        turned = digit.transform(
            (side, side),
            Image.Transform.AFFINE,
            (
                across[0], -sine, middle - across[0] * centre + sine * centre,
                across[1], cosine, middle - across[1] * centre - cosine * centre,
            ),
            Image.Resampling.BILINEAR,
        )  # fmt: skip
        ink = np.minimum(np.asarray(turned).astype(np.uint16) * 3, 255).astype(np.uint8)
        rows, columns = np.flatnonzero(ink.any(axis=1)), np.flatnonzero(ink.any(axis=0))
        return ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def below(number: float, bound: int) -> int:
    """Map a number from 0 to 1 to an integer from 0 to ``bound - 1``."""
    return int(number * bound)


def free_place(
    claims: Pixels, areas: Sequence[int], claimed: NDArray[np.bool_], numbers: Numbers, most_covered: float
) -> tuple[slice, slice] | None:
    """Return the first of a few random places where a digit covers almost nothing of the others."""
    height, width = claimed.shape
    room = claims.shape[0] - height + 1, claims.shape[1] - width + 1
    if min(room) < 1:
        return None
    limits = np.array([claimed.sum(), *areas]) * most_covered
    for down, right in numbers.reshape(TRIES, 2):
        top, left = below(down, room[0]), below(right, room[1])
        place = slice(top, top + height), slice(left, left + width)
        covered = np.bincount(claims[place][claimed], minlength=len(limits))
        covered[0] = covered[1:].sum()
        if (covered <= limits).all():
            return place
    return None


def _brightness(region: Pixels) -> float:
    return float((region.reshape(-1, 3).mean(axis=0) * _LUMA).sum())


def paint(region: Pixels, stroke: Pixels, numbers: Numbers) -> None:
    """Paint a digit in a random colour that is clearly lighter than its background."""
    least = min(_brightness(region) + _CONTRAST, _WHITE)
    colour = numbers[:3] * _WHITE
    brightness = least + (_WHITE - least) * numbers[3]
    colour = np.clip(colour + brightness - (colour * _LUMA).sum(), 0, _WHITE).astype(np.uint32)
    ink = stroke[..., None].astype(np.uint32)
    region[:] = (region * (255 - ink) + colour * ink + 127) // 255
