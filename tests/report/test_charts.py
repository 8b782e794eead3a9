"""Charts: nothing is drawn outside, gaps are gaps."""

import itertools
import math
import re

import pytest

from cuelight.report.charts import BOTTOM, LEFT, RIGHT, TOP, Best, chart_of
from cuelight.report.grouping import Panel, Series
from support.run_files import wave


def chart(*curves, best=None, epochs=None, kind="learning"):
    series = [Series(f"s{index}", f"s{index}", index + 1, points) for index, points in enumerate(curves)]
    last = max((points[-1][0] for points in curves), default=0)
    return chart_of(Panel(kind, "loss", tuple(series)), last, epochs or {}, best)


def test_everything_is_drawn_inside() -> None:
    drawn = chart(wave(3000), [(0, 7.0), (2999, 7.0)])
    for line in drawn["lines"]:
        places = [tuple(map(float, pair)) for pair in re.findall(r"[ML](\S+?) ([\d.]+)", line.path)]
        assert places
        assert all(LEFT <= x <= RIGHT and TOP <= y <= BOTTOM for x, y in places)


def test_a_gap_begins_a_new_stroke_and_is_told() -> None:
    (line,) = chart([(0, 1.0), (1, 2.0), (2, math.nan), (3, math.inf), (4, 3.0), (5, 2.0)])["lines"]
    assert line.path.count("M") == 2
    assert line.note == "2 of 6 values are not finite, the first at step 2"
    assert (line.last, line.lowest, line.highest) == ("2", "1", "3")


def test_a_point_between_gaps_is_a_dot() -> None:
    points = [(step, 1.0 if step == 50 else math.nan) for step in range(100)]
    assert len(chart(points)["lines"][0].dots) == 1


@pytest.mark.parametrize("points", [[(0, math.nan)], [(3, math.inf), (4, -math.inf)]], ids=str)
def test_a_curve_without_any_finite_value_is_told(points) -> None:
    drawn = chart(points)
    assert drawn["lines"][0].path == ""
    assert "no finite value" in drawn["description"]


def test_labels_do_not_overlap_and_stay_inside() -> None:
    drawn = chart(*[[(0, 1.0), (9, 0.5)]] * 6)
    places = sorted(line.label_y for line in drawn["lines"])
    assert all(below - above >= 12 for above, below in itertools.pairwise(places))
    assert places[-1] <= BOTTOM


def test_a_label_stands_clear_of_a_curve_that_ends_a_little_later() -> None:
    first, second = chart([(0, 1.0), (98, 1.0)], [(0, 1.0), (99, 1.0)], [(0, 5.0), (50, 5.0)])["lines"][:2]
    assert first.label_x == second.label_x > second.places[-1][0] + 6


def test_labels_that_have_no_room_are_left_to_the_legend() -> None:
    assert {line.label for line in chart(*[[(0, 1.0), (9, 0.5)]] * 20)["lines"]} == {""}


def test_the_best_checkpoint_is_marked_where_it_was() -> None:
    best = Best("s0", 0.2, step=5, epoch=1)
    across, down = chart([(0, 1.0), (5, 0.2), (10, 0.4)], best=best)["best"]
    assert across == pytest.approx((LEFT + RIGHT) / 2)
    assert down > TOP
    assert chart([(0, 1.0), (10, 0.4)], best=Best("other", 0.2, step=5))["best"] == (across, None)
    assert chart([(0, 1.0), (10, 0.4)], best=best, kind="hardware")["best"] is None


def test_many_epochs_have_few_labels() -> None:
    texts = [text for _, text in chart([(0, 1.0), (3000, 0.5)], epochs={n: n * 10 for n in range(1, 301)})["epochs"]]
    assert texts == ["50", "100", "150", "200", "250", "300"]
