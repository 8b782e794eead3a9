import pytest

from cuelight.config import load_config
from cuelight.errors import ConfigError

BASE = """\
model: {name: M, params: {steps: {0: 1, 4: 2}}}
data: {name: D}
trainer:
  callbacks:
    - {name: A}
    - {name: B}
"""


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "x.yaml"
    path.write_text(BASE)
    return path


def problems(file, overrides):
    with pytest.raises(ConfigError) as caught:
        load_config(file, overrides)
    return [str(problem) for problem in caught.value.problems]


def test_texts_are_read_as_yaml(file):
    config = load_config(
        file,
        [
            "trainer.epochs=3",
            "trainer.callbacks.1.params.decay=1e-2",
            "trainer.callbacks.0.active=false",
            "trainer.optimizer.params={lr: 0.5, betas: [0.8, 0.9]}",
            "model.params.text='5'",
            "model.params.url=a=b",
            "model.params.steps.8=3",
            "name=x",
        ],
    )
    assert config.trainer.epochs == 3
    assert config.trainer.callbacks[1].params == {"decay": 0.01}
    assert config.trainer.callbacks[0].active is False
    assert config.trainer.optimizer.name == "AdamW"
    assert config.trainer.optimizer.params == {"lr": 0.5, "betas": [0.8, 0.9]}
    assert config.model.params == {"steps": {0: 1, 4: 2, 8: 3}, "text": "5", "url": "a=b"}
    assert config.name == "x"


def test_a_later_text_wins(file):
    assert load_config(file, ["trainer.epochs=3", "trainer.epochs=4"]).trainer.epochs == 4


def test_mappings_are_merged_and_may_have_dot_paths(file):
    config = load_config(
        file,
        {
            "trainer": {"epochs": 3, "callbacks": {0: {"params": {"a": (1, 2)}}}},
            "trainer.seed": 7,
            "model.params": {"new": "1e-3"},
            "data.params": {},
        },
    )
    assert (config.trainer.epochs, config.trainer.seed) == (3, 7)
    assert config.trainer.callbacks[0].params == {"a": [1, 2]}
    assert [callback.name for callback in config.trainer.callbacks] == ["A", "B"]
    assert config.model.params == {"steps": {0: 1, 4: 2}, "new": "1e-3"}


def test_a_list_in_a_mapping_replaces(file):
    config = load_config(file, {"trainer": {"callbacks": [{"name": "C"}]}})
    assert [callback.name for callback in config.trainer.callbacks] == ["C"]


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("foo", 'command line: "foo" is not an override; expected key=value, such as trainer.epochs=3'),
        ("=3", 'command line: "=3" is not an override'),
        ("a..b=3", 'command line: a..b: "a..b" is not a valid path'),
        ("trainer.epoch=3", 'command line: trainer.epoch: unknown key "epoch". Did you mean "epochs"?'),
        ("trainer.epochs=ten", "command line: trainer.epochs: expected a whole number of at least 0"),
        (
            "trainer.callbacks.2.name=x",
            "command line: trainer.callbacks.2.name: trainer.callbacks is a list and has no",
        ),
        (
            "trainer.callbacks.x.name=x",
            "command line: trainer.callbacks.x.name: trainer.callbacks is a list and has no",
        ),
        ("model.name.x=3", "command line: model.name.x: model.name is a single value"),
        ("trainer.seed=[1", "command line: trainer.seed: the list that starts with [ has no ]"),
        ("trainer.seed=!!python/name:os.system", "command line: trainer.seed: the tag !!python/name:os.system is not"),
        ("tracker.csv=on", "command line: tracker.csv: expected true or false"),
        ("tracker.x.y=1", 'command line: tracker.x: unknown key "x"'),
        (".".join("a" * 5000) + "=1", "command line: a.a"),
    ],
)
def test_problems_name_the_command_line(file, override, message):
    found = problems(file, [override])
    assert len(found) == 1
    assert found[0].startswith(message)


def test_problems_of_a_mapping(file):
    assert problems(file, {"trainer": {"epochs": "x", "seed": object()}}) == [
        (
            "override: trainer.seed: a value of the type object cannot be written in YAML; expected text, numbers, "
            "lists and mappings"
        ),
        'override: trainer.epochs: expected a whole number of at least 0, got the text "x".',
        (
            "override: trainer.seed: expected a whole number of at least 0 and at most 4294967295, "
            "got nothing (null). The value after the colon is missing."
        ),
    ]


def test_overrides_come_after_the_file_in_the_report(file):
    file.write_text(BASE + "  epochs: x\n")
    found = problems(file, ["trainer.seed=x"])
    assert [problem.split(" trainer")[0] for problem in found] == [f"{file}:7:", "command line:"]


def test_overrides_may_name_environment_variables(file, monkeypatch):
    monkeypatch.setenv("EPOCHS", "9")
    config = load_config(file, ["trainer.epochs=${env:EPOCHS}"])
    assert config.trainer.epochs == 9
    assert config.to_dict()["trainer"]["epochs"] == "${env:EPOCHS}"
