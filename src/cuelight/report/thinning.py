"""Reduction of a long curve to few points."""

from __future__ import annotations

import math
from collections.abc import Sequence

from cuelight.report.curves import Point

MOST_POINTS = 800


def thinned(points: Sequence[Point], most: int = MOST_POINTS) -> list[Point]:
    """Reduce a curve to at most ``most`` points: each stretch keeps its first, lowest, highest and last one.

    The first value of a stretch that is not finite stays too, as a gap.

    Examples:
        >>> spike = [(step, 9.0 if step == 501 else 1.0) for step in range(1000)]
        >>> (501, 9.0) in thinned(spike, most=40), len(thinned(spike, most=40)) <= 40
        (True, True)
    """
    if len(points) <= most:
        return list(points)
    length = math.ceil(len(points) / (most // 5))
    kept: list[Point] = []
    for start in range(0, len(points), length):
        kept += _landmarks(points[start : start + length])
    return kept


def _landmarks(stretch: Sequence[Point]) -> list[Point]:
    finite = [index for index, (_, value) in enumerate(stretch) if math.isfinite(value)]
    gap = next((index for index, (_, value) in enumerate(stretch) if not math.isfinite(value)), None)
    kept = {0, len(stretch) - 1} | ({gap} if gap is not None else set())
    if finite:
        kept |= {min(finite, key=lambda index: stretch[index][1]), max(finite, key=lambda index: stretch[index][1])}
    return [stretch[index] for index in sorted(kept)]
