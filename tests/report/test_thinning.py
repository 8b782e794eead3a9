"""Thinned curves keep their extremes, ends and gaps."""

import math

from cuelight.report.curves import MOST_POINTS, thinned
from support.run_files import wave


def test_thinning_keeps_extremes_and_ends() -> None:
    points = wave(50_000)
    kept = thinned(points)
    assert len(kept) <= MOST_POINTS
    assert {points[0], points[-1], (16_666, 40.0), (25_000, -40.0)} <= set(kept)
    assert kept == sorted(kept)


def test_thinning_keeps_gaps() -> None:
    points = wave(5_000)
    points[1234] = (1234, math.nan)
    assert any(math.isnan(value) for _, value in thinned(points))


def test_few_points_all_stay() -> None:
    assert thinned(wave(MOST_POINTS)) == wave(MOST_POINTS)
