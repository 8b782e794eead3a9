"""Scenes of cards with a digit each on photographs: turned, in perspective, and with corners that may be covered."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cuelight.data.base.scenes import (
    OF_BACKGROUND,
    TRIES,
    Numbers,
    Pixels,
    SceneDrawer,
    below,
    free_place,
    paint,
)

_DEGREES = 45
_PERSPECTIVE = 0.3  # a corner moves at most this share of a side towards the middle
_COVERED = 0.15  # share of the corners that are covered
_COVER = 0.15  # half the side of a cover, relative to that of the card
_SQUARE = np.array([[-0.5, -0.5], [0.5, -0.5], [0.5, 0.5], [-0.5, 0.5]])  # from the left top corner, clockwise
_INK = 0.85  # the digit is darker than its card by this share
_OF_SHAPE, _OF_COLOR, _CORNERS = 10, 4, 4
_OF_CARD = 1 + _OF_SHAPE + _OF_COLOR + 2 * _CORNERS + 2 * TRIES


class CardScene(NamedTuple):
    """An image and the cards in it.

    Args:
        image: uint8 ``(H, W, 3)``, RGB.
        labels: uint8 ``(cards,)``: the digit on each card.
        corners: float64 ``(cards, 4, 2)``, x and y in pixels: left top, right top, right bottom and left bottom of the
            digit.
        hidden: bool ``(cards, 4)``, whether a corner is covered.
    """

    image: Pixels
    labels: Pixels
    corners: Numbers
    hidden: NDArray[np.bool_]


class CardDrawer(SceneDrawer):
    """Draws cards with a digit each, turned by at most 45 degrees and in perspective, on cut-outs of photographs.

    Scene i of a drawer is the same on any machine, whatever was drawn before. Cards do not overlap.
    """

    def __call__(self, index: int) -> CardScene:  # type: ignore[override]  # other content, drawn alike
        """Draw the scene of an index from 0; it has at least one card."""
        least, most = self.digits_per_scene
        numbers = self._numbers(index, 1 + OF_BACKGROUND + most * _OF_CARD)
        count = least + below(numbers[0], most - least + 1)
        image = self._background(numbers[1 : 1 + OF_BACKGROUND])
        claims = np.zeros(self.size, np.uint8)
        areas: list[int] = []
        labels, corners, hidden = [], [], []
        for of_card in numbers[1 + OF_BACKGROUND :].reshape(most, _OF_CARD)[:count]:
            chosen = below(of_card[0], len(self.digits))
            side, card = self._shape(of_card[1 : 1 + _OF_SHAPE])
            of_color, of_cover, of_place = np.split(of_card[1 + _OF_SHAPE :], [_OF_COLOR, _OF_COLOR + 2 * _CORNERS])
            margin = math.ceil(_COVER * side)
            card = card - card.min(axis=0) + margin
            width, height = (math.ceil(length) + margin for length in card.max(axis=0))
            claimed = np.ones((height, width), bool)
            place = free_place(claims, areas, claimed, of_place, 0)
            if place is None:
                continue
            claims[place] = len(areas) + 1
            areas.append(claimed.size)
            covered = of_cover[:_CORNERS] < _COVERED
            self._draw(image[place], self.digits[chosen], card, of_color)
            for (x, y), brightness in zip(card[covered], of_cover[_CORNERS:][covered], strict=True):
                top, left = (max(0, round(start - margin)) for start in (y, x))
                image[place][top : round(y + margin), left : round(x + margin)] = below(brightness, 256)
            labels.append(int(self.labels[chosen]))
            corners.append(np.add(card, [place[1].start, place[0].start]))
            hidden.append(covered)
        return CardScene(image, np.array(labels, np.uint8), np.stack(corners), np.stack(hidden))

    def _shape(self, numbers: Numbers) -> tuple[float, Numbers]:
        """Return the side of a card, and its corners around its middle, in pixels."""
        low, high = self.heights
        side = (low + numbers[0] * (high - low)) * min(self.size)
        angle = math.radians((2 * numbers[1] - 1) * _DEGREES)
        turn = np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])
        moved = _SQUARE * (1 - _PERSPECTIVE * numbers[2:].reshape(_CORNERS, 2))
        return side, side * (moved[..., :1] * turn[0] + moved[..., 1:] * turn[1])

    def _draw(self, region: Pixels, digit: Image.Image, corners: Numbers, of_color: Numbers) -> None:
        size = region.shape[1], region.shape[0]
        coefficients = _to_square(corners, digit.width)
        card, ink = (
            np.asarray(one.transform(size, Image.Transform.PERSPECTIVE, coefficients, Image.Resampling.BILINEAR))
            for one in (Image.new("L", digit.size, 255), digit)
        )
        paint(region, card, of_color)
        region[:] = region * (1 - _INK / 255 * ink[..., None])


def _to_square(corners: Numbers, side: int) -> list[float]:
    """Return the coefficients of the perspective that maps four corners to those of a square from 0 to ``side``.

    P. Heckbert, 1989, "Fundamentals of Texture Mapping and Image Warping".
    """
    first, second, third, fourth = corners
    bend = first - second + third - fourth
    across, down = second - third, fourth - third
    area = across[0] * down[1] - across[1] * down[0]
    g = (bend[0] * down[1] - bend[1] * down[0]) / area
    h = (across[0] * bend[1] - across[1] * bend[0]) / area
    x, y = ((second - first + g * second), (fourth - first + h * fourth))
    to_corners = np.array([[x[0], y[0], first[0]], [x[1], y[1], first[1]], [g, h, 1.0]])
    a, b, c = to_corners
    inverse = np.stack([np.cross(b, c), np.cross(c, a), np.cross(a, b)], axis=1)
    inverse[:2] *= side
    return [float(value) for value in (inverse / inverse[2, 2]).ravel()[:8]]
