import math

import pytest

from cuelight.config.scalars import read_scalar


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", None), ("~", None), ("null", None), ("NULL", None), ("nUll", "nUll"),
        ("true", True), ("False", False), ("tRue", "tRue"),
        ("on", "on"), ("yes", "yes"), ("No", "No"), ("off", "off"), ("y", "y"),
        ("5", 5), ("-5", -5), ("+5", 5), ("010", 10), ("0x1F", 31), ("0o17", 15), ("1_000", "1_000"),
        ("1e-3", 1e-3), ("1E3", 1000.0), ("1.", 1.0), (".5", 0.5), ("-1.5e+2", -150.0), (".", "."), ("e5", "e5"),
        (".inf", math.inf), ("-.Inf", -math.inf), ("inf", "inf"), ("nan", "nan"), ("infinity", "infinity"),
        ("1:30", "1:30"), ("2024-01-01", "2024-01-01"), ("=", "="), ("٣", "٣"),
    ],
)  # fmt: skip
def test_words_mean_what_yaml_1_2_says(text, value):
    result = read_scalar(text)
    assert result == value
    assert type(result) is type(value)


def test_not_a_number():
    assert math.isnan(read_scalar(".nan"))


def test_a_number_of_thousands_of_digits_stays_text():
    assert read_scalar("9" * 5000) == "9" * 5000
