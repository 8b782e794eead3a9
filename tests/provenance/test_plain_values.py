"""Whatever stands in hyperparameters can be written as YAML, and is the same text in every run."""

from argparse import Namespace
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

import numpy as np
import pytest

from cuelight.config.dumping import to_yaml
from cuelight.config.loading import parse_document
from cuelight.provenance.plain_values import as_plain
from cuelight.utils.environment import EnvironmentText


class Color(Enum):
    RED = 1


class Mode(str, Enum):
    FAST = "fast"


@dataclass
class Settings:
    rate: float = 0.1


class Thing:
    pass


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (None, None), (True, True), (3, 3), (0.5, 0.5), ("text", "text"),
        (np.float32(0.5), 0.5), (np.float64(0.5), 0.5), (np.int64(3), 3), (np.bool_(True), True),
        ((1, 2), [1, 2]), ({3, 1}, [1, 3]), ({"a": (1,)}, {"a": [1]}), ({1: "x", None: "y"}, {"1": "x", "None": "y"}),
        (Namespace(rate=0.1), {"rate": 0.1}), (Settings(), {"rate": 0.1}),
        (Color.RED, "Color.RED"), (Mode.FAST, "Mode.FAST"), (Path("a/b"), "a/b"),
        (len, "builtins.len"), (b"x", "b'x'"), ("\udc80", "\\udc80"), (Path("\udc80"), "\\udc80"),
        (EnvironmentText("value", "${env:NAME}"), "${env:NAME}"),
    ],
)  # fmt: skip
def test_values_become_plain(value, plain) -> None:
    found = as_plain(value)
    assert found == plain
    assert type(found) is type(plain)
    assert parse_document(to_yaml({"key": found}), "test").tree == {"key": plain}


def test_object_is_the_same_text_in_every_run() -> None:
    assert as_plain(Thing()) == as_plain(Thing())
    assert "0x" not in as_plain([lambda: 0, Thing()][1])


class Unreadable:
    """Such as a handle whose connection is gone."""

    def __str__(self):
        raise RuntimeError("no connection")


def test_object_that_cannot_be_written_as_text() -> None:
    assert as_plain({"handle": Unreadable()}) == {"handle": "<Unreadable object that cannot be written as text>"}


def test_value_that_contains_itself_ends() -> None:
    endless = {}
    endless["again"] = endless
    assert parse_document(to_yaml(as_plain(endless)), "test").tree
