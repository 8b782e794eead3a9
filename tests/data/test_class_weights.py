"""Weights of classes, and what is wrong with them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from cuelight.data.class_weights import resolve_class_weights
from cuelight.errors import ConfigError

NAMES = ["cat", "dog", "bird"]
PATH = "model.params.class_weights"


def _resolve(weights: Any, counts: list[int] | None = None, **options: Any) -> list[float]:
    return resolve_class_weights(weights, NAMES, counts, PATH, **options)


def test_balanced_weights_are_those_of_scikit_learn() -> None:
    counts = [40, 7, 13]
    labels = np.repeat(np.arange(3), counts)
    reference = pytest.importorskip("sklearn.utils.class_weight").compute_class_weight
    expected = reference("balanced", classes=np.arange(3), y=labels)

    assert _resolve("balanced", counts) == pytest.approx(expected.tolist())


def test_weights_have_the_order_of_the_classes() -> None:
    assert _resolve({"dog": 0.5, "bird": 3, "cat": 2.0}) == [2.0, 0.5, 3]
    assert _resolve([2.0, 0.5, 3]) == [2.0, 0.5, 3]
    assert resolve_class_weights({1: 2.0, "0": 1.0}, ["0", "1"], None, PATH) == [1.0, 2.0]  # as YAML reads numbers
    assert _resolve([0.0, 1.0, 1.0], may_be_zero=True) == [0.0, 1.0, 1.0]


@pytest.mark.parametrize(
    ("weights", "counts", "path", "message"),
    [
        ({"cat": 1.0, "dgo": 2.0, "bird": 1.0}, None, ".dgo", 'no class "dgo". Did you mean "dog"? The classes are:'),
        ({"cat": 1.0, "bird": 1.0}, None, "", "expected a weight for each class; there is none for dog."),
        ({}, None, "", "there is none for cat, dog, bird."),
        (
            {"cat": 1.0, "dog": 0.0, "bird": 1.0},
            None,
            ".dog",
            "0 (from 1e-12 to 1e+12), got 0.0.",
        ),
        (
            {"cat": 1.0, "dog": -2, "bird": 1.0},
            None,
            ".dog",
            "0 (from 1e-12 to 1e+12), got -2.",
        ),
        ({"cat": math.nan, "dog": 1.0, "bird": 1.0}, None, ".cat", "1e+12), got nan."),
        ({"cat": math.inf, "dog": 1.0, "bird": 1.0}, None, ".cat", "1e+12), got inf."),
        ({"cat": 1e-300, "dog": 1.0, "bird": 1.0}, None, ".cat", ", got 1e-300."),
        ([1.0, 1e300, 1.0], None, ".1", ", got 1e+300."),
        ([1.0, 2.0], None, "", "expected a number for each of 3 classes, got 2."),
        ([], None, "", "expected a number for each of 3 classes, got 0."),
        ([1.0, -1.0, 1.0], None, ".1", "1e+12), got -1.0."),
        ("balanced", None, "", "balanced needs the number of training images of each class, which is not known;"),
        ("balanced", [3, 0, 5], "", "balanced needs training images of each class; there are none of dog."),
        ("balanced", [3, 4], "", "there are none of bird."),
    ],
)
def test_a_wrong_weight_is_named_with_its_place(weights: Any, counts: Any, path: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        _resolve(weights, counts)
    [problem] = caught.value.problems
    assert problem.path == PATH + path
    assert message in problem.message


def test_every_wrong_weight_is_named() -> None:
    with pytest.raises(ConfigError) as caught:
        _resolve({"cat": 0, "dogs": 2, "birds": -1})
    assert [problem.path.removeprefix(PATH) for problem in caught.value.problems] == [
        ".dogs", ".birds", ".cat", ".birds",
    ]  # fmt: skip
