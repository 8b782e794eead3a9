"""``cuelight report`` of a real run, as a person meets it."""

import subprocess
import sys

import pytest

from support.experiments import OWN_PARTS, experiment, only_run, write_yaml
from support.processes import cuelight


@pytest.fixture(scope="module")
def trained(digits, tmp_path_factory):
    folder = tmp_path_factory.mktemp("reported")
    callbacks = [{"name": "LearningRateMonitor"}, {"name": "First"}]
    write_yaml(folder / "tiny.yaml", experiment(digits, callbacks=callbacks))
    done = cuelight("train", "tiny.yaml", "--source", OWN_PARTS, folder=folder)
    assert done.code == 0, done.err
    return only_run(folder / "runs"), done


def test_training_ends_with_the_way_to_its_report(trained) -> None:
    directory, done = trained
    assert f"cuelight report runs/tiny/{directory.name}" in " ".join(done.err.split())


def test_page_of_a_real_run(trained) -> None:
    directory, _ = trained
    done = cuelight("report", directory.name, folder=directory.parent)
    assert (done.code, done.out, done.err) == (0, f"{directory.name}/report.html\n", "")
    text = (directory / "report.html").read_text()
    for shown in (
        "The training is complete", "3 epochs, 15 optimizer steps", "Best val/accuracy", "<figcaption>learning rate",
        "<strong>First</strong>", "added: saves last.ckpt", "<strong>TestOnTrainEnd</strong>",
    ):  # fmt: skip
        assert shown in text
    assert "Not shown" not in text


def test_output_and_quiet(trained, tmp_path) -> None:
    done = cuelight("report", trained[0], "--quiet", "--output", "page.html", folder=tmp_path)
    assert (done.code, done.out, done.err) == (0, "", "")
    assert (tmp_path / "page.html").is_file()


def test_missing_run_is_refused(tmp_path) -> None:
    done = cuelight("report", "nowhere", folder=tmp_path)
    assert (done.code, done.out) == (2, "")
    assert "nowhere: there is no such run directory or checkpoint." in done.err
    assert "Traceback" not in done.err


def test_report_imports_neither_torch_nor_lightning(trained, tmp_path) -> None:
    arguments = ["report", str(trained[0]), "--output", str(tmp_path / "page.html"), "--quiet"]
    program = f"import sys; from cuelight.cli import main; main({arguments}); print(' '.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    imported = {name.split(".")[0] for name in done.stdout.split()}
    assert "jinja2" in imported
    assert not imported & {"torch", "lightning", "matplotlib", "tensorboard", "numpy", "rich"}
