"""The YAML files of the documentation and the examples are valid, and the pages name everything that there is."""

import re
import textwrap
from pathlib import Path

import pytest
import yaml
from jsonschema import Draft202012Validator

from cuelight import Run, registry
from cuelight.cli.main import main
from cuelight.config import CallbackPart, Config, ExporterConfig, SchedulerPart, TrackerConfig, TrainerConfig
from cuelight.config.loading import read_document
from cuelight.config.tracker import MLflowConfig, TensorBoardConfig, WandbConfig
from cuelight.errors import ConfigError
from cuelight.registry.json_schema import make_schema

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
STARTERS = sorted((ROOT / "src" / "cuelight" / "cli" / "starters").glob("*.yaml"))
OWN_PARTS = ROOT / "examples" / "own_parts"
BASES = {
    "classification": {"model": {"name": "ClassificationModel"}, "data": {"name": "Digits"}},
    "segmentation": {"model": {"name": "SegmentationModel"}, "data": {"name": "DigitScenes"}},
    "detection": {"model": {"name": "DetectionModel"}, "data": {"name": "DigitBoxes"}},
    "keypoints": {"model": {"name": "KeypointModel"}, "data": {"name": "DigitKeypoints"}},
    "multilabel": {"model": {"name": "MultiLabelModel"}, "data": {"name": "DigitLabels"}},
}
BLOCK = re.compile(r'^```yaml(?: title="(?P<title>[^"]+)")?\n(?P<text>.*?)^```', re.MULTILINE | re.DOTALL)
MISTAKES = "mistakes.yaml"


def whole(part):
    named = [(registry.models, part.get("model")), (registry.data, part.get("data"))]
    tasks = [known.get(one["name"]).task for known, one in named if one]
    return BASES[tasks[0] if tasks else "classification"] | part


@pytest.fixture(scope="module")
def editor():
    """What an editor says about a file."""
    return Draft202012Validator(make_schema())


def blocks():
    for page in PAGES:
        for number, found in enumerate(BLOCK.finditer(page.read_text()), start=1):
            if "--8<--" not in found["text"]:
                yield pytest.param(found["title"], found["text"], id=f"{page.stem}-{number}")


@pytest.mark.parametrize(("title", "text"), [block for block in blocks() if block.values[0] != MISTAKES])
def test_yaml_in_the_documentation_can_be_planned(title, text, tmp_path, editor) -> None:
    """A block with a title is a whole file, another one a part of one."""
    file = tmp_path / "block.yaml"
    file.write_text(text if title else yaml.safe_dump(whole(yaml.safe_load(text))))
    assert Run.from_yaml(file).plan()
    assert [error.message for error in editor.iter_errors(read_document(file).tree)] == []


@pytest.mark.parametrize("file", [*sorted((ROOT / "examples").glob("*.yaml")), *STARTERS], ids=lambda file: file.stem)
def test_examples_can_be_planned(file, editor) -> None:
    assert Run.from_yaml(file).plan()
    assert [error.message for error in editor.iter_errors(read_document(file).tree)] == []


def test_example_of_own_parts_can_be_planned(capsys) -> None:
    arguments = ["plan", str(OWN_PARTS / "own_parts.yaml"), "--source", str(OWN_PARTS / "parts.py")]
    assert main(arguments) == 0
    assert "GradientNorm" in capsys.readouterr().out


def test_report_of_mistakes_is_the_real_one(tmp_path) -> None:
    page = (ROOT / "docs" / "yaml-file.md").read_text()
    text = next(found["text"] for found in BLOCK.finditer(page) if found["title"] == MISTAKES)
    (tmp_path / MISTAKES).write_text(text)
    with pytest.raises(ConfigError) as caught:
        Run.from_yaml(tmp_path / MISTAKES)
    assert f"error: {caught.value}".replace(f"{tmp_path}/", "") in page


@pytest.mark.parametrize(
    "command",
    [
        "init", "convert", "plan", "callbacks", "schema", "layers", "train", "test", "export", "archive", "predict",
        "explain", "finish", "verify", "report", "upload", "diff",
    ],
)  # fmt: skip
def test_help_in_the_documentation_is_the_real_one(command, capsys, monkeypatch) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    with pytest.raises(SystemExit):
        main([command, "--help"])
    page = (ROOT / "docs" / "commands.md").read_text()
    assert squeezed(capsys.readouterr().out) in squeezed(page)


def test_every_key_is_documented() -> None:
    page = (ROOT / "docs" / "yaml-file.md").read_text()
    sections = (Config, TrainerConfig, TrackerConfig, ExporterConfig, CallbackPart, SchedulerPart)
    keys = {key for section in sections for key in section.model_fields}
    assert {key for key in keys if f"`{key}`" not in page and f"`{key}:" not in page} == set()


@pytest.mark.parametrize(
    ("tracker", "section"), [("tensorboard", TensorBoardConfig), ("mlflow", MLflowConfig), ("wandb", WandbConfig)]
)
def test_every_option_of_a_tracker_is_documented(tracker, section) -> None:
    page = (ROOT / "docs" / "yaml-file.md").read_text()
    assert [key for key in section.model_fields if f"`{tracker}.{key}`" not in page] == []


@pytest.mark.parametrize(
    ("kind", "page"),
    [
        ("optimizer", "models.md"), ("scheduler", "models.md"), ("model", "models.md"), ("data", "data.md"),
        ("transform", "data.md"), ("callback", "callbacks.md"),
    ],
)  # fmt: skip
def test_every_name_is_documented(kind, page) -> None:
    text = (ROOT / "docs" / page).read_text()
    names = registry.registry_of(kind).kind.builtins
    assert {name for name in names if f"`{name}`" not in text and f"# {name}\n" not in text} == set()


@pytest.mark.parametrize(("kind", "page"), [("model", "models.md"), ("data", "data.md")])
def test_every_parameter_is_documented(kind, page) -> None:
    text = (ROOT / "docs" / page).read_text()
    of_kind = registry.registry_of(kind)
    names = {parameter.name for part in of_kind.kind.builtins for parameter in of_kind.describe(part).parameters}
    assert {name for name in names if f"`{name}`" not in text} == set()


def squeezed(text: str) -> str:
    """Without what argparse lays out differently from one version of Python to the next."""
    return " ".join(textwrap.dedent(text).split())
