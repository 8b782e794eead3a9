"""No command imports a library that it does not need, and so none waits for it."""

import subprocess
import sys

import pytest

from cuelight.runs.run import Run

CODE = """
import sys
from cuelight.cli.main import main
code = main(sys.argv[2:])
heavy = set(sys.argv[1].split(",")) & sys.modules.keys()
sys.exit(code or (f"imported: {sorted(heavy)}" if heavy else 0))
"""
LIGHT = "torch,torchvision,torchmetrics,timm,lightning,numpy,scipy,onnx,onnxruntime,matplotlib"
FRAMEWORKS = "torchvision,torchmetrics,timm,lightning,scipy"


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("imports")
    tree = {
        "name": "digits",
        "model": {"name": "ClassificationModel", "params": {"backbone": "test_resnet"}},
        "data": {"name": "Digits"},
        "trainer": {"max_steps": 2, "callbacks": [{"name": "TestOnTrainEnd"}, {"name": "ExportOnTrainEnd"}]},
    }
    run = Run.from_yaml(tree, ["trainer.accelerator=cpu"])
    run.train(folder / "runs")
    [file] = run.directory.glob("export/*.onnx")
    [picture, *_] = run.directory.glob("test/*.png")
    return {"FOLDER": str(folder), "RUN": str(run.directory), "ONNX": str(file), "PICTURE": str(picture)}


@pytest.mark.parametrize(
    ("command", "absent"),
    [
        ("callbacks Timer", f"{LIGHT},pydantic,yaml"),
        ("init --file FOLDER/model.yaml", LIGHT),
        ("schema --output FOLDER/schema.json", LIGHT),
        ("report RUN", "torch,torchvision,torchmetrics,timm,lightning,scipy,onnx,onnxruntime,matplotlib"),
        ("diff RUN RUN", LIGHT),
        ("finish RUN", f"{LIGHT},yaml"),
        ("upload RUN", LIGHT),
        ("verify RUN", FRAMEWORKS),
        ("predict ONNX PICTURE --output FOLDER/predictions", FRAMEWORKS),
    ],
)
def test_what_a_command_does_not_import(command, absent, trained) -> None:
    for name, path in trained.items():
        command = command.replace(name, path)
    arguments = [sys.executable, "-c", CODE, absent, *command.split()]
    done = subprocess.run(arguments, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
