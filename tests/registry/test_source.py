"""Own parts in a Python file."""

import pickle
import sys

import pytest

from cuelight import registry
from cuelight.errors import CuelightError
from cuelight.registry import load_source


@pytest.fixture(autouse=True)
def clean(monkeypatch):
    """Leave neither modules nor search paths behind."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    before = set(sys.modules)
    own = dict(registry.callbacks._own)
    yield
    registry.callbacks._own.clear()
    registry.callbacks._own.update(own)
    for name in set(sys.modules) - before:
        del sys.modules[name]


def write(tmp_path, text, name="source_of_test.py"):
    path = tmp_path / name
    path.write_text(text)
    return path


GOOD = """\
from dataclasses import dataclass
import beside_source_of_test
from cuelight import registry

@registry.callbacks.register
@dataclass
class Own:
    size: int = beside_source_of_test.SIZE
"""


def test_a_file_is_run_once_and_its_parts_can_be_pickled(tmp_path):
    write(tmp_path, "SIZE = 7", "beside_source_of_test.py")
    path = write(tmp_path, GOOD)
    load_source(path)
    load_source(str(path))
    own = registry.callbacks.build({"name": "Own"})
    assert own.size == 7
    assert pickle.loads(pickle.dumps(own)) == own
    assert sys.path[-1] == str(tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = 1\n\nimport no_such_module_here\n", ":3: ModuleNotFoundError: No module named 'no_such_module_here'"),
        ("x = 1\ndef f(:\n", ":2: SyntaxError: invalid syntax"),
        ("def f():\n    return 1 / 0\n\nf()\n", ":2: ZeroDivisionError"),
        (
            "from cuelight import registry\nregistry.optimizers.register(int, name='SGD')\n",
            ':2: CuelightError: the name "SGD"',
        ),
    ],
)
def test_a_file_that_fails_names_its_line(tmp_path, text, message):
    path = write(tmp_path, text)
    with pytest.raises(CuelightError) as caught:
        load_source(path)
    assert str(caught.value).startswith(f"{path}{message}")


def test_what_is_no_source(tmp_path):
    for path, message in [
        (tmp_path / "nothing.py", "there is no such file"),
        (tmp_path, "this is not a Python file"),
        (write(tmp_path, "", "x.yaml"), "this is not a Python file"),
        (write(tmp_path, "", "json.py"), 'there is already a module named "json"'),
        (write(tmp_path, "", "torch.py"), 'there is already a module named "torch"'),
        (write(tmp_path, "", "sys.py"), 'there is already a module named "sys"'),
    ]:
        with pytest.raises(CuelightError) as caught:
            load_source(path)
        assert message in str(caught.value)
