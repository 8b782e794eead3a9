"""What documents and users import: from a room, not from a module in it, and nothing that the name does not need."""

import ast
import pickle
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from cuelight import registry

KINDS = {"cuelight.callbacks": "callback", "cuelight.data": "data", "cuelight.tasks": "model"}
ROOMS = ["cuelight", "cuelight.training", *KINDS]


def offered(room):
    return vars(import_module(room))["_LOCATIONS"]


def names_for_type_checkers(room):
    tree = ast.parse(Path(import_module(room).__file__).read_text())
    block = next(node for node in tree.body if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING")
    return {
        alias.asname: f"{statement.module}:{alias.name}"
        for statement in block.body
        if isinstance(statement, ast.ImportFrom)
        for alias in statement.names
    }


def modules_after(code):
    program = f"import sys\n{code}\nprint(' '.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


@pytest.mark.parametrize(
    ("room", "name"),
    [(room, name) for room, kind in KINDS.items() for name in registry.registry_of(kind).kind.builtins],
)
def test_every_name_of_a_file_can_be_imported(room, name) -> None:
    found = getattr(import_module(room), name)
    assert found is registry.registry_of(KINDS[room]).get(name)
    assert pickle.loads(pickle.dumps(found)) is found


@pytest.mark.parametrize("room", ROOMS)
def test_type_checkers_and_python_find_the_same(room) -> None:
    assert names_for_type_checkers(room) == offered(room)


@pytest.mark.parametrize("room", ROOMS)
def test_all_and_dir_list_what_can_be_imported(room) -> None:
    module = import_module(room)
    assert dir(module) == sorted(offered(room))
    assert {*module.__all__} - {"__version__"} == offered(room).keys()
    assert all(hasattr(module, name) for name in module.__all__)


def test_a_room_costs_nothing_heavy() -> None:
    modules = modules_after("import " + ", ".join(ROOMS))
    assert "cuelight.callbacks" in modules
    assert not modules & {"torch", "numpy", "lightning"}


@pytest.mark.parametrize(
    ("code", "own", "others"),
    [
        (
            "from cuelight.callbacks import EMACallback; from cuelight.data import Digits",
            {"cuelight.callbacks.ema.ema_callback", "cuelight.data.datasets.digits"},
            {"cuelight.callbacks.grad_cam_callback", "cuelight.data.datasets.voc", "cuelight.tracking", "timm"},
        ),
        (
            "from cuelight.tasks import ClassificationModel",
            {"cuelight.tasks.classification.model", "timm"},
            {"cuelight.tasks.segmentation.model", "segmentation_models_pytorch"},
        ),
    ],
    ids=["callbacks and data", "tasks"],
)
@pytest.mark.slow
def test_a_name_does_not_import_what_another_needs(code, own, others) -> None:
    modules = modules_after(code)
    assert own <= modules
    assert not modules & {"onnx", "onnxruntime", "onnxscript", "tensorboard", *others}


def test_folders_of_a_room_can_be_imported() -> None:
    assert "cuelight.callbacks.ema" in modules_after("from cuelight.callbacks import ema, lightning")


def test_unknown_name_is_an_error_with_a_suggestion() -> None:
    callbacks = import_module("cuelight.callbacks")
    with pytest.raises(AttributeError, match=r'"cuelight.callbacks" has no attribute "EMACalback". Did you mean "EMAC'):
        _ = callbacks.EMACalback
    with pytest.raises(ImportError, match="cannot import name 'EMACalback'"):
        exec("from cuelight.callbacks import EMACalback")
