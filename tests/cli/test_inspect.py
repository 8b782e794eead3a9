"""What ``cuelight inspect`` prints and writes."""

import json

import pytest

from cuelight.cli.main import main
from cuelight.runs.run import Run
from support.experiments import experiment, own_parts, write_yaml


@pytest.fixture
def inspected(capsys, monkeypatch):
    own_parts()
    monkeypatch.setattr("logging.basicConfig", lambda **settings: None)

    def printed(path, *more):
        assert main(["inspect", str(path), *more]) == 0
        return capsys.readouterr().out

    return printed


def test_a_file_is_inspected_into_a_folder(inspected, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    file = write_yaml(tmp_path / "x.yaml", {"model": {"name": "ClassificationModel"}, "data": {"name": "Digits"}})
    lines = [" ".join(line.split()) for line in inspected(file).splitlines()]
    assert "train 3500 0" in lines
    assert lines[-1] == "files inspection/inspection.html"
    assert {path.name for path in (tmp_path / "inspection").iterdir()} == {
        "inspection.html", "inspection.json", "samples.png",
    }  # fmt: skip
    assert json.loads(inspected(file, "--json", "--output", "other"))["tables"]["splits"][0]["images"] == 3500


def test_a_run_is_inspected_into_its_directory_and_its_report(inspected, tmp_path, digits):
    run = Run.from_yaml(experiment(digits))
    run.train(tmp_path)
    assert 'id="data"' not in run.report().read_text()
    inspected(run.directory)
    text = run.report().read_text()
    assert 'id="data"' in text
    assert "inspection/samples.png" in text
