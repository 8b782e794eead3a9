"""Imports go downward only, and what must be quick imports nothing heavy."""

import ast
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import cuelight

SOURCE = Path(cuelight.__file__).parent

# From the ground up. A new file or folder of the package gets its place here before anything may use it.
FLOORS = [
    {"errors", "version"},
    {"utils"},
    {"config"},
    {"registry"},
    {"images", "migration", "weights"},
    {"explain"},
    {"export"},
    {"tracking"},
    {"provenance"},
    {"data"},
    {"training"},
    {"tasks"},
    {"evaluation", "prediction"},
    {"train_end"},
    {"callbacks", "report"},
    {"inspection", "runs"},
    {"cli"},
    {"__init__", "__main__"},
]
# Folders inside a room, from the ground up; "" are the files beside them. A room's ``__init__`` is its door, which may
# name all of it.
INNER_FLOORS = {
    "callbacks": ["added", "base", "ema", "lightning", ""],
    "data": ["", "targets", "loading", "base", "datasets"],
    "export": ["", "onnx", "archive"],
    "tasks": ["classification", "segmentation", "detection", "keypoints", "multilabel", ""],
    "tracking": ["", "outbox", "loggers"],
}
MAX_ROOT_MODULES = 6
TASK_NAMES = {"classification", "segmentation", "detection", "keypoints", "multilabel"}
# Where a task may be named outside of its folder, and why.
NAMES_OF_TASKS = {
    "callbacks/grad_cam_callback.py": "the values and the default of its parameter `task` are fixed",
    "cli/parser.py": "the starter file that `init` writes by default",
    "data/": "what a data module says of itself",
}
HEIGHT = {room: height for height, floor in enumerate(FLOORS) for room in floor}
MODULES = {
    ".".join(["cuelight", *path.relative_to(SOURCE).with_suffix("").parts]).removesuffix(".__init__"): path
    for path in sorted(SOURCE.rglob("*.py"))
}


def room_of(module):
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else "__init__"


def folder_of(module):
    """The folder of a module inside its room; "" for the files beside the folders."""
    parts = MODULES[module].relative_to(SOURCE).parts
    return parts[1] if len(parts) > 2 else ""


def imports_of(path, module):
    """Every module that a file names in an import, at any depth of its code."""
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parents = package.split(".")[: len(package.split(".")) + 1 - node.level]
            base = ".".join([*parents, *filter(None, [node.module])]) if node.level else node.module
            for alias in node.names:
                inner = f"{base}.{alias.name}"
                yield (inner if inner in MODULES else base), node.lineno


IMPORTS = [
    (module, name, f"{path.relative_to(SOURCE.parent)}:{line}")
    for module, path in MODULES.items()
    for name, line in imports_of(path, module)
]
OWN_IMPORTS = [entry for entry in IMPORTS if entry[1].split(".")[0] == "cuelight"]


def test_every_room_has_its_floor() -> None:
    unplaced = {room_of(module) for module in MODULES} - HEIGHT.keys()
    assert not unplaced, f"give {', '.join(sorted(unplaced))} a place in FLOORS"


def test_imports_go_down_or_stay_in_the_room() -> None:
    assert len(OWN_IMPORTS) > 50  # the parsing finds something at all
    upward = [
        f"{where}: {room_of(module)} imports {name}"
        for module, name, where in OWN_IMPORTS
        if room_of(module) != room_of(name) and HEIGHT[room_of(name)] >= HEIGHT[room_of(module)]
    ]
    assert not upward, "\n".join(upward)


def test_the_root_has_few_modules() -> None:
    assert len(list(SOURCE.glob("*.py"))) <= MAX_ROOT_MODULES


def test_imports_go_down_inside_a_room_too() -> None:
    upward = []
    for module, name, where in OWN_IMPORTS:
        if room_of(module) != room_of(name) or MODULES[module].parent.parent == SOURCE.parent:
            continue
        if MODULES[module].name == "__init__.py" or folder_of(module) == folder_of(name):
            continue
        floors = INNER_FLOORS.get(room_of(module), [""])
        if floors.index(folder_of(name)) >= floors.index(folder_of(module)):
            upward.append(f"{where}: {folder_of(module) or room_of(module)} imports {name}")
    assert not upward, "\n".join(upward)


def test_every_folder_of_a_room_has_its_floor() -> None:
    rooms = {room_of(module) for module in MODULES if MODULES[module].parent != SOURCE}
    for room in rooms:
        folders = {folder_of(module) for module in MODULES if room_of(module) == room}
        assert folders <= set(INNER_FLOORS.get(room, [""])), f"give the folders of {room} a place in INNER_FLOORS"


def test_no_room_decides_by_the_name_of_a_task() -> None:
    named = [
        f"{path}:{node.lineno}: {node.value}"
        for path in (module.relative_to(SOURCE).as_posix() for module in MODULES.values())
        if not path.startswith(("tasks/", "registry/builtins.py", *NAMES_OF_TASKS))
        for node in ast.walk(ast.parse((SOURCE / path).read_text()))
        if isinstance(node, ast.Constant) and node.value in TASK_NAMES
    ]
    assert not named, "\n".join(named)


def test_no_module_imports_itself_by_way_of_others() -> None:
    graph = {module: set() for module in MODULES}
    for module, name, _ in OWN_IMPORTS:
        graph[module].add(name)
    order = TopologicalSorter(graph).static_order()
    assert set(order) == set(MODULES)  # a circle raises CycleError, which names it


@pytest.mark.parametrize("room", ["errors", "version", "config"])
def test_ground_floor_is_light(room) -> None:
    allowed = {*sys.stdlib_module_names, "cuelight", "pydantic", "pydantic_core", "typing_extensions", "yaml"}
    heavy = [
        f"{where}: {name}"
        for module, name, where in IMPORTS
        if room_of(module) == room and name.split(".")[0] not in allowed
    ]
    assert not heavy, "\n".join(heavy)


def imported_by(code):
    program = f"import sys\ntry:\n    {code}\nexcept SystemExit:\n    pass\nprint('\\n' + ' '.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return {name.split(".")[0] for name in done.stdout.splitlines()[-1].split()}


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["train", "--help"]], ids=" ".join)
def test_help_imports_nothing_heavy(arguments) -> None:
    imported = imported_by(f"from cuelight.cli import main; main({arguments})")
    assert "cuelight" in imported
    assert not imported & {"torch", "lightning", "pydantic", "rich", "yaml", "numpy", "timm", "torchmetrics"}


def test_reading_a_configuration_imports_neither_torch_nor_lightning() -> None:
    imported = imported_by("from cuelight import load_config; import cuelight.errors")
    assert "pydantic" in imported
    assert not imported & {"torch", "lightning", "rich", "numpy"}


@pytest.mark.parametrize(
    "module",
    [
        "images.preprocessing", "images.drawing", "tasks.lookup", "tasks.classification.decode",
        "tasks.segmentation.decode", "export.model_metadata",
        "export.archive.config", "export.archive.reading",
    ],
)  # fmt: skip
def test_what_a_prediction_needs_imports_no_training_framework(module) -> None:
    assert not imported_by(f"import cuelight.{module}") & {"torch", "torchvision", "lightning", "timm", "torchmetrics"}


def test_comparing_two_runs_imports_neither_torch_nor_lightning(tmp_path) -> None:
    (tmp_path / "config.yaml").write_text("name: digits\n")
    (tmp_path / "metadata.yaml").write_text("run: {seed: 3}\n")
    imported = imported_by(f"from cuelight.cli import main; main(['diff', {str(tmp_path)!r}, {str(tmp_path)!r}])")
    assert "rich" in imported
    assert not imported & {"torch", "lightning", "numpy", "timm", "torchmetrics"}
