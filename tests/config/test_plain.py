"""Values from Python are copied into plain data of a bounded size."""

import pytest

from cuelight.config.plain import to_plain


def _repeated(times):
    value = ["x"]
    for _ in range(times):
        value = [value, value]
    return value


def _circle():
    value = []
    value.append(value)
    return value


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (_repeated(45), "there are more than 100000 values"),
        (_circle(), "there are more than 100000 values"),
        ({"a": {1.5: 2}}, "a key is neither text nor a whole number"),
        ({"a": object()}, "a value of the type object cannot be written in YAML"),
    ],
    ids=["repeated", "circle", "key", "object"],
)
def test_what_yaml_cannot_hold_is_named(value, message) -> None:
    problems = []
    to_plain(value, problems)
    assert [message in problem.message for problem in problems] == [True]


def test_plain_values_are_copied() -> None:
    value, problems = {"a": [1, (2.5, None)], "b": {"c": True}}, []
    assert to_plain(value, problems) == {"a": [1, [2.5, None]], "b": {"c": True}}
    assert not problems
