"""Axes hold their values, and are logarithmic where that shows more."""

import pytest

from cuelight.report.axes import axis_of


@pytest.mark.parametrize(
    "values",
    [[0.0], [5.0], [-3.0, -3.0], [0.0, 1.0], [1e-30, 2e-30], [-1e30, 1e30], [1e-9, 1e-3, 1.0, 900.0], [0.0, 1e-8, 1.0]],
    ids=str,
)
def test_an_axis_holds_its_values_and_two_ticks(values) -> None:
    axis = axis_of(values)
    assert all(0 <= axis.share(value) <= 1 for value in values)
    assert len([tick for tick in axis.ticks if axis.low <= tick <= axis.high]) >= 2


@pytest.mark.parametrize(
    ("values", "logarithmic"),
    [([2.0, 0.1, 0.05, 0.04], True), ([1.0, 0.9, 0.8], False), ([1.0, 0.01, 0.01, 0.0], False)],
)
def test_an_axis_is_logarithmic_where_most_values_would_lie_at_its_foot(values, logarithmic) -> None:
    assert axis_of(values).logarithmic is logarithmic
