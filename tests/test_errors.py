"""The errors say what is wrong, where, and what to do."""

import doctest
import pickle

import pytest

from cuelight import errors
from cuelight.errors import ConfigError, CuelightError, Problem, TrainingInterrupted, did_you_mean


def test_examples_of_the_docstrings() -> None:
    assert doctest.testmod(errors) == (0, 2)


@pytest.mark.parametrize(
    ("problem", "text"),
    [
        (Problem("is wrong"), "is wrong"),
        (Problem("is wrong", "trainer.epochs"), "trainer.epochs: is wrong"),
        (Problem("is wrong", "trainer.epochs", "a.yaml:3"), "a.yaml:3: trainer.epochs: is wrong"),
        (Problem("is wrong", where="command line"), "command line: is wrong"),
    ],
)
def test_problem_is_one_line(problem, text) -> None:
    assert str(problem) == text


def test_config_error_shows_every_problem() -> None:
    one, two = Problem("is wrong", "a"), Problem("is missing", "b")
    assert str(ConfigError([one])) == "1 problem in the configuration:\n  a: is wrong"
    assert str(ConfigError([one, two])) == "2 problems in the configuration:\n  a: is wrong\n  b: is missing"
    assert ConfigError([one, two]).problems == (one, two)


@pytest.mark.parametrize("error", [ConfigError([Problem("is wrong", "a")]), TrainingInterrupted(15)])
def test_errors_cross_processes(error) -> None:
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is type(error)
    assert str(copy) == str(error)


def test_suggestion_ignores_case_and_needs_nearness() -> None:
    assert did_you_mean("earlystopping", ["Timer", "EarlyStopping"]) == ' Did you mean "EarlyStopping"?'
    assert did_you_mean("Adam", ["Timer"]) == ""
    assert did_you_mean("x", []) == ""


def test_every_error_has_the_same_base() -> None:
    own = [value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, Exception)]
    assert len(own) >= 5
    assert all(issubclass(error, CuelightError) for error in own)
