"""The spec of the data in a checkpoint, which may be damaged."""

from __future__ import annotations

import pytest

from cuelight.data.spec import DATA_SPEC, DataSpec, saved_spec
from cuelight.errors import CheckpointError
from cuelight.images.preprocessing import Preprocessing


def test_what_was_saved_is_read() -> None:
    spec = DataSpec(("cat", "dog"), 3, (32, 48), Preprocessing((32, 48)))
    assert saved_spec({DATA_SPEC: spec.to_dict()}) == spec
    counted = DataSpec(("cat", "dog"), class_counts=(30, 4))
    assert saved_spec({DATA_SPEC: counted.to_dict()}) == counted
    assert saved_spec({}) is None


@pytest.mark.parametrize(
    ("saved", "message"),
    [
        (3, "has no attribute"),
        ({"size": [10**6, 10**6]}, "size: expected height and width in pixels, from 1 to 16384"),
        ({"size": 3}, "not iterable"),
        ({"channels": 10**9}, "channels: expected a number from 1 to 1024"),
        ({"channels": "x"}, "not supported"),
        ({"class_counts": ["x"]}, "invalid literal"),
        ({"class_counts": 3}, "not iterable"),
        ({"class_names": [1, 2]}, "class_names: expected a list of texts"),
        ({"class_names": ["\ud800"]}, "class_names: expected text in UTF-8"),
        ({"class_names": "ab"}, "class_names: expected a list of texts"),
        ({"class_names": ["a" * 10**6]}, "at most 1000 characters for each, got 1000000"),
        ({"preprocessing": {"size": [10**6, 10**6]}}, "from 1 to 16384"),
        ({"preprocessing": {"size": [8, 8], "mean": ["x"]}}, "could not convert string to float"),
        ({"preprocessing": {"size": [8, 8], "std": [float("nan")]}}, "std: expected numbers greater than 0"),
        ({"preprocessing": {"size": [8, 8], "mean": [float("inf")]}}, "mean: expected finite numbers"),
        ({"preprocessing": {"other": 1}}, "unexpected keyword argument"),
    ],
)
def test_a_damaged_spec_is_named(saved: object, message: str) -> None:
    with pytest.raises(CheckpointError, match=f"(?s){DATA_SPEC} in the checkpoint is damaged: .*{message}"):
        saved_spec({DATA_SPEC: saved})
