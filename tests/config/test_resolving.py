import numpy as np
import pytest

from cuelight.config import load_config
from cuelight.errors import ConfigError, Problem

COMPLETE = """\
model: {name: M, params: {a: 1}}
data: {name: D}
trainer:
  epochs: 3
  optimizer: {params: {lr: 0.1}}
  scheduler: {name: S, interval: step}
  callbacks:
    - name: A
    - {name: B, active: false}
"""


def write(tmp_path, text, name="x.yaml"):
    path = tmp_path / name
    path.write_text(text)
    return path


def test_the_name_is_the_files_unless_it_says_one(tmp_path):
    assert load_config(write(tmp_path, COMPLETE, "my digits.v2.yaml")).name == "my digits.v2"
    assert load_config(write(tmp_path, COMPLETE, ".a:b.yaml")).name == "a-b"
    assert load_config(write(tmp_path, "name: mine\n" + COMPLETE)).name == "mine"


def test_everything_wrong_is_in_one_report_in_the_order_of_the_file(tmp_path):
    text = """\
modle: {name: M}
data: {name: D, x: 1}
trainer:
  epochs: ten
  callbacks:
    - nme: X
    - name: Y
      active: on
tracker:
  csv: ${env:NOT_SET_ANYWHERE}
"""
    path = write(tmp_path, text)

    def check(kind, entry, at):
        return [Problem(f"no {kind} {entry['name']}", f"{at}.name"), Problem("bad", f"{at}.params.deep.1")]

    with pytest.raises(ConfigError) as caught:
        load_config(path, check_part=check)
    assert [f"{p.where.removeprefix(str(path))} {p.path}" for p in caught.value.problems] == [
        ":1 modle",
        ":1 model",
        ":2 data.x",
        ":2 data.name",
        ":2 data.params.deep.1",
        ":4 trainer.epochs",
        ":6 trainer.callbacks.0.nme",
        ":6 trainer.callbacks.0.name",
        ":7 trainer.callbacks.1.name",
        ":7 trainer.callbacks.1.params.deep.1",
        ":8 trainer.callbacks.1.active",
        ":10 tracker.csv",
    ]
    assert str(caught.value).startswith("12 problems in the configuration:\n  ")


def test_every_part_is_checked_with_its_kind_and_path(tmp_path):
    seen = []

    def check(kind, entry, path):
        seen.append((kind, entry["name"], dict(entry["params"]), path))
        return []

    load_config(write(tmp_path, COMPLETE), check_part=check)
    assert seen == [
        ("model", "M", {"a": 1}, "model"),
        ("data", "D", {}, "data"),
        ("optimizer", "AdamW", {"lr": 0.1}, "trainer.optimizer"),
        ("scheduler", "S", {}, "trainer.scheduler"),
        ("callback", "A", {}, "trainer.callbacks.0"),
        ("callback", "B", {}, "trainer.callbacks.1"),
    ]


def test_a_dump_reads_back_equal(tmp_path):
    config = load_config(write(tmp_path, COMPLETE), ["model.params.b='1e-3'", "model.params.c={0: x}"])
    assert load_config(config.to_dict()) == config
    assert load_config(write(tmp_path, config.to_yaml(), "other.yaml")) == config


def test_a_mapping_may_hold_what_python_has(tmp_path):
    params = {"size": (28, 28), "path": tmp_path, "rate": np.float64(0.5)}
    config = load_config({"model": {"name": "M", "params": params}, "data": {"name": "D"}})
    assert config.model.params == {"size": [28, 28], "path": str(tmp_path), "rate": 0.5}
    assert type(config.model.params["rate"]) is float
    assert params["size"] == (28, 28)


def test_a_mapping_may_not_hold_what_yaml_cannot_write():
    bad = {"model": {"name": "M", "params": {"f": print}}, "data": {1.5: 2}}
    with pytest.raises(ConfigError) as caught:
        load_config(bad)
    messages = [str(problem) for problem in caught.value.problems]
    assert messages[0].startswith("model.params.f: a value of the type builtin_function_or_method cannot be")
    assert messages[1] == "data: a key is neither text nor a whole number"
    endless = {}
    endless["a"] = endless
    with pytest.raises(ConfigError, match="there are more than 100000 values"):
        load_config({"model": {"name": "M", "params": endless}, "data": {"name": "D"}})


def test_places_of_what_is_missing(tmp_path):
    with pytest.raises(ConfigError) as caught:
        load_config(write(tmp_path, "name: x\ntrainer:\n  epochs: 1\n"))
    assert [(p.where[-2:], p.path) for p in caught.value.problems] == [(":1", "model"), (":1", "data")]


def test_a_file_cannot_steer_the_terminal(tmp_path):
    with pytest.raises(ConfigError) as caught:
        load_config(write(tmp_path, COMPLETE + '"\\e[2J": "\\e]0;x\\a"\n'), ['trainer.epochs="\\e[2J"'])
    assert "\x1b" not in str(caught.value)
    assert "\\x1b[2J" in str(caught.value)
