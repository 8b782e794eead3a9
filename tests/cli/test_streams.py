"""What goes to standard output, which a pipe reads, and what to standard error."""

import re
import shutil

import numpy as np
import pytest
from PIL import Image

from support.experiments import OWN_PARTS, experiment, only_run, write_yaml
from support.processes import cuelight

SOURCE = ("--source", OWN_PARTS)
NO_RESULT = re.compile(
    r"cuelight (train|test|predict|explain|finish|upload|plan|report)|tensorboard --|^epoch \d|Warning"
)


@pytest.fixture(scope="module")
def made(digits, tmp_path_factory):
    """The folder of a finished run, what its command printed, and a few images."""
    folder = tmp_path_factory.mktemp("a-folder-with-a-name-that-alone-is-wider-than-the-eighty-columns-of-a-pipe")
    tree = experiment(digits, epochs=1, scheduler=None, callbacks=[{"name": "RichModelSummary"}])
    tree["model"] = {"name": "ClassificationModel", "params": {"backbone": "test_resnet"}}
    write_yaml(folder / "tiny.yaml", tree)
    images = np.load(digits)["images"]
    (folder / "images").mkdir()
    for number in range(3):
        Image.fromarray(images[number, 0]).save(folder / "images" / f"{number}.png")
    return folder, cuelight("train", "tiny.yaml", *SOURCE, folder=folder)


def test_a_training_prints_its_results_alone(made) -> None:
    _, done = made
    assert done.code == 0, done.err
    names = [line.split("  ")[0] for line in done.out.splitlines()]
    assert names == ["TestOnTrainEnd", "best checkpoint", "test/loss", "test/accuracy", "test/f1", "files"]
    assert "see the report     cuelight report runs/tiny/" in done.err


def test_the_summary_of_the_model_lists_its_network_and_no_metrics(made) -> None:
    _, done = made
    rows = [line for line in done.err.splitlines() if line.startswith("│")]
    assert len(rows) == 1
    cells = [cell.strip() for cell in rows[0].split("│")[1:-1]]
    assert (cells[0], cells[1], cells[-2], cells[-1]) == ("backbone", "ResNet", "[1, 1, 28, 28]", "[1, 10]")
    assert re.search(r"^\d+ K parameters \(\d+ K trainable", done.err, re.MULTILINE)


def test_all_layers_of_a_deep_summary_are_on_lines_of_their_own(made, tmp_path) -> None:
    folder, _ = made
    deep = "trainer.callbacks.0.params.max_depth=-1"
    done = cuelight("train", folder / "tiny.yaml", deep, *SOURCE, folder=tmp_path)
    rows = [line for line in done.err.splitlines() if line.startswith("│")]
    assert any("backbone.stages" in row or "backbone.layer4" in row for row in rows)
    assert not any("metric" in row or "confusion" in row for row in rows)
    assert "…" not in done.err


@pytest.mark.parametrize(
    "summary", ["trainer.callbacks.0.params.max_depth=1", "trainer.callbacks.0.params.max_depth=-1"]
)
def test_quiet_prints_no_summary(made, tmp_path, summary) -> None:
    folder, _ = made
    done = cuelight("train", folder / "tiny.yaml", summary, "--quiet", *SOURCE, folder=tmp_path)
    assert (done.code, done.out, done.err) == (0, "", "")


@pytest.mark.parametrize(
    "command",
    [
        ["test"], ["test", "--view", "val"], ["finish"], ["verify"], ["export"], ["archive"], ["report"], ["layers"],
        ["predict", "images"], ["explain", "images"], ["upload"], ["diff", "again"],
    ],
    ids=" ".join,
)  # fmt: skip
def test_commands_on_a_run_print_their_results_alone(made, tmp_path, command) -> None:
    folder, _ = made
    shutil.copytree(folder, tmp_path / folder.name)
    run = only_run(tmp_path / folder.name / "runs")
    shutil.copytree(run, run.with_name("again"))
    more = [str(run.with_name("again")) if word == "again" else word for word in command[1:]]
    source = [] if command[0] in ("report", "diff") else SOURCE
    done = cuelight(command[0], run, *more, *source, folder=tmp_path / folder.name)
    assert done.code == 0, done.err
    lines = done.out.splitlines()
    assert lines if command[0] != "upload" else not lines
    assert not [line for line in lines if NO_RESULT.search(line)]
    shown = [line for line in lines if "runs/tiny" in line]
    assert all(re.search(r"runs/tiny/[\w-]+", line) for line in shown)
    if command[0] in ("export", "archive", "report"):
        assert len(lines) == 1
        assert (tmp_path / folder.name / lines[0]).is_file()


def test_the_data_that_was_measured_is_named(made, tmp_path) -> None:
    folder, _ = made
    done = cuelight("test", only_run(folder / "runs"), *SOURCE, folder=folder)
    assert "measured           40 images" in done.out
    other = folder / "other"
    for name in "0123456789":
        shutil.copytree(folder / "images", other / name)
    gray = "{path: other, size: 28, color: GRAY, mean: [0.1307], std: [0.3081]}"
    data = [f"data={{name: ImageFolder, params: {gray}}}", "trainer.num_workers=0", "--view", "train"]
    done = cuelight("test", only_run(folder / "runs"), *data, *SOURCE, folder=folder)
    assert done.code == 0, done.err
    assert re.search(r"measured +\d+ images of other\s", done.out)


@pytest.mark.parametrize(("command", "first"), [("init", "model.yaml"), ("callbacks", "EMACallback"), ("plan", "run")])
def test_commands_before_a_training_print_their_results_alone(made, tmp_path, command, first) -> None:
    folder, _ = made
    arguments = {"init": [], "callbacks": ["EMACallback"], "plan": [folder / "tiny.yaml", *SOURCE]}[command]
    done = cuelight(command, *arguments, folder=tmp_path)
    assert done.code == 0, done.err
    assert done.out.split()[0] == first
    assert not [line for line in done.out.splitlines() if NO_RESULT.search(line)]
