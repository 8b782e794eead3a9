"""Decoding of probabilities, and the head of the archive."""

import json

import numpy as np
import pytest

from cuelight.errors import CuelightError
from cuelight.tasks.lookup import TASKS, head_problems
from cuelight.tasks.multilabel.archive import archive_head
from cuelight.tasks.multilabel.decode import decode_multilabel

NAMES = ["cat", "dog", "bird"]
SCORES = np.array([[0.9, 0.35, 0.4], [0.1, 0.2, 0.3]], np.float32)
DECODING = {"thresholds": [0.5, 0.3, 0.6]}


def test_the_classes_of_an_image_reach_their_thresholds() -> None:
    first, second = decode_multilabel({"probabilities": SCORES}, NAMES, DECODING)
    assert [label.name for label in first.present] == ["cat", "dog"]
    assert [label.name for label in first.labels] == ["cat", "dog", "bird"]
    assert first.row() == first.summary() == {"labels": "cat|dog", "scores": "0.9000|0.3500"}
    assert [label.name for label in second.labels] == ["bird", "dog", "cat"]
    assert second.row() == {"labels": "", "scores": ""}
    details = json.loads(json.dumps(first.details()))
    assert details["labels"] == ["cat", "dog"]
    assert details["classes"][2] == {
        "class": "bird", "index": 2, "score": pytest.approx(0.4), "threshold": 0.6, "present": False,
    }  # fmt: skip


@pytest.mark.parametrize("threshold", [0.07, 0.29, 0.57])
def test_a_score_at_the_threshold_is_enough(threshold) -> None:
    (found,) = decode_multilabel({"x": np.array([[threshold]], np.float32)}, None, {"thresholds": [threshold]})
    assert [label.name for label in found.present] == ["0"]


@pytest.mark.parametrize(
    ("outputs", "message"),
    [
        ({"a": SCORES, "b": SCORES}, r"multilabel, so expected probabilities \(images, classes\); got a \[2, 3\], b"),
        ({"a": SCORES[..., None]}, r"got a \[2, 3, 1\]"),
        ({"a": SCORES * np.nan}, "contain NaN"),
        ({"a": SCORES[:, :2]}, "3 thresholds for 2 classes"),
    ],
)
def test_other_outputs_are_refused(outputs, message) -> None:
    with pytest.raises(CuelightError, match=message):
        decode_multilabel(outputs, NAMES, DECODING)


def test_a_file_without_thresholds_is_refused() -> None:
    for decoding in (None, {"conf_threshold": 0.5}):
        with pytest.raises(CuelightError, match="no thresholds in its metadata"):
            TASKS["multilabel"].decode({"probabilities": SCORES}, None, decoding)


def test_the_head_has_names_and_thresholds() -> None:
    head = archive_head(NAMES, ["probabilities"], DECODING["thresholds"])
    assert head == {
        "parser": "RegressionParser",
        "outputs": ["probabilities"],
        "metadata": {"classes": NAMES, "n_classes": 3, "thresholds": [0.5, 0.3, 0.6]},
    }
    assert head_problems(head, {"probabilities": (1, 3)}) == []
    assert head_problems(head, {"probabilities": (1, 4)}) == ["n_classes is 3, but probabilities has 4 of [1, 4]"]
    assert head_problems(head, {"a": (1, 3), "b": (1, 3)}) == ["RegressionParser takes one output, got a, b"]
    regression = {"parser": "RegressionParser", "outputs": ["age"], "metadata": {}}
    assert head_problems(regression, {"age": (1, 1)}) == []
