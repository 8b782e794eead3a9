import copy
import pickle

import pytest

from cuelight.config import load_config
from cuelight.errors import ConfigError, Problem
from cuelight.utils.environment import EnvironmentText, fill_in
from cuelight.utils.hidden_values import without_hidden_values

VARIABLES = {"A": "one", "NESTED": "${env:A}", "EMPTY": ""}
SECRET = "hunter2"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("${env:A}", "one"),
        ("x-${env:A}-${env:A}", "x-one-one"),
        ("${env:NO:-two}", "two"),
        ("${env:NO:-}", ""),
        ("${env:EMPTY:-two}", ""),
        ("${env:NESTED}", "${env:A}"),
        ("$${env:A}", "${env:A}"),
        ("$A %A% $(A) {env:A}", "$A %A% $(A) {env:A}"),
    ],
)
def test_references_are_filled_in_once(text, value):
    tree, templates, problems = fill_in({"a": [text], "${env:A}": 1}, VARIABLES)
    assert tree == {"a": [value], "${env:A}": 1}
    assert templates == ({("a", 0): text} if value != text else {})
    assert problems == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("${env:NO}", "the environment variable NO is not set; set it, or write ${env:NO:-default}"),
        ("${HOME}", '"${HOME}" is not a reference; expected ${env:HOME}'),
        ("${env:A", '"${env:A" has no closing brace'),
        ("${env:A B}", "is not a reference; expected ${env:NAME}"),
        ("${file:/etc/passwd}", "is not a reference"),
        ("${env:${env:A}}", "has no closing brace"),
        ("${oc.env:A}", "is not a reference"),
    ],
)
def test_anything_else_is_a_problem(text, message):
    _, _, problems = fill_in({"a": {"b": text}}, VARIABLES)
    assert problems[0].path == "a.b"
    assert message in problems[0].message


def test_text_hides_its_value_through_copies():
    text = EnvironmentText(SECRET, "${env:X}")
    for copied in (text, copy.deepcopy(text), pickle.loads(pickle.dumps(text))):
        assert copied == SECRET
        assert repr({"a": copied}) == "{'a': '${env:X}'}"


@pytest.fixture
def config_with_secret(monkeypatch):
    monkeypatch.setenv("SECRET", SECRET)
    monkeypatch.setenv("WORKERS", "7")
    return {
        "model": {"name": "M", "params": {"token": "${env:SECRET}", "deep": [{"url": "s3://${env:SECRET}@x"}]}},
        "data": {"name": "D"},
        "trainer": {"num_workers": "${env:WORKERS}", "accelerator": "${env:SECRET}", "deterministic": "${env:D:-true}"},
    }


def test_values_are_there_and_never_shown(config_with_secret):
    config = load_config(config_with_secret)
    assert config.model.params["token"] == SECRET
    assert config.trainer.accelerator == SECRET
    assert config.trainer.num_workers == 7
    assert config.trainer.deterministic is True
    shown = [repr(config), str(config), config.to_yaml(), str(config.to_dict()), config.model_dump_json()]
    shown += [repr(config.model), repr(config.trainer), repr(pickle.loads(pickle.dumps(config)))]
    assert not any(SECRET in text for text in shown)
    assert config.to_dict()["trainer"]["num_workers"] == "${env:WORKERS}"


def test_a_dump_reads_back_equal_and_needs_the_variable_again(config_with_secret, tmp_path, monkeypatch):
    config = load_config(config_with_secret)
    file = tmp_path / "config.yaml"
    file.write_text(config.to_yaml())
    assert load_config(file) == config
    assert load_config(config.to_dict()) == config
    monkeypatch.delenv("SECRET")
    with pytest.raises(ConfigError, match="SECRET is not set"):
        load_config(file)


def test_errors_never_show_the_value(config_with_secret):
    config_with_secret["trainer"] |= {
        "epochs": "${env:SECRET}",
        "precision": "${env:SECRET}",
        "devices": ["${env:SECRET}"],
    }
    config_with_secret["name"] = "${env:SECRET}/x"
    config_with_secret["tracker"] = "${env:SECRET}"
    config_with_secret["data"] = ["${env:SECRET}"]
    with pytest.raises(ConfigError) as caught:
        load_config(config_with_secret)
    assert len(caught.value.problems) == 6
    assert SECRET not in str(caught.value)
    assert "trainer.epochs: expected a whole number of at least 0, got the text of ${env:SECRET}." in str(caught.value)


@pytest.mark.parametrize(
    ("message", "hidden"),
    [
        ("abcd abcdef", "${env:SHORTER} ${env:LONGER}"),  # a value that another one begins with
        ("expected true or false, at least 5", "expected true or false, at least 5"),
        ("no accelerator \"5\", no 'true'", "no accelerator \"${env:FIVE}\", no '${env:TRUE}'"),
        ("5", "${env:FIVE}"),
        (repr("a\nb\n"), "'${env:LINES}'"),
    ],
)
def test_hidden_values_leave_common_words_and_finds_the_whole_value(message, hidden):
    values = {"SHORTER": "abcd", "LONGER": "abcdef", "TRUE": "true", "FIVE": "5", "LINES": "a\nb\n", "EMPTY": ""}
    fill_in([f"${{env:{name}}}" for name in values], values)
    assert without_hidden_values(message) == hidden


def test_messages_that_others_wrote_do_not_show_the_value(config_with_secret):
    def part(kind, entry, path):
        return [Problem(f"{path} knows no {SECRET}", path)]

    with pytest.raises(ConfigError) as caught:
        load_config(config_with_secret, check_part=part)
    assert {problem.message for problem in caught.value.problems} == {
        "model knows no ${env:SECRET}",
        "data knows no ${env:SECRET}",
    }

    config = load_config(config_with_secret)
    [problem] = config.locate([Problem(f"no accelerator {config.trainer.accelerator}", "trainer.accelerator")])
    assert problem.message == "no accelerator ${env:SECRET}"
