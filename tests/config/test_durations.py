from datetime import timedelta

import pytest

from cuelight.config.durations import read_duration


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        ("90m", 5400), ("90min", 5400), ("1h30m", 5400), ("1h 30m", 5400), ("1.5h", 5400), ("45s", 45), ("2d", 172800),
        ("1w", 604800), ("00:01:30:00", 5400), ("1:0:0:1", 86401),
        ({"hours": 1.5}, 5400), ({"minutes": 1, "seconds": 2}, 62),
    ],
)  # fmt: skip
def test_durations(written, seconds):
    assert read_duration(written) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    "written",
    ["", "5", "m", "-5m", "1m1h", "01:30:00", "1e3s", "9" * 400 + "s", {}, {"hour": 1}, {"hours": "1"}, {"days": 1e99}],
)
def test_what_is_no_duration(written):
    with pytest.raises(ValueError, match="expected a duration"):
        read_duration(written)
