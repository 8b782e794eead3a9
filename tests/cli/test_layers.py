"""What ``cuelight layers`` says."""

import pytest

from cuelight.cli.main import main
from cuelight.runs.run import Run
from support.experiments import OWN_PARTS, experiment, own_parts, write_yaml


@pytest.fixture
def printed(capsys, monkeypatch):
    """List the layers of a file or a run, and give what was printed."""
    own_parts()
    monkeypatch.setattr("cuelight.registry.load_source", lambda source: None)  # loaded above, once
    monkeypatch.setattr("logging.basicConfig", lambda **settings: None)

    def listed(path, *more):
        assert main(["layers", str(path), *more, "--source", str(OWN_PARTS)]) == 0
        return [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]

    return listed


def test_lists_the_layers_of_a_file(printed, tmp_path, digits):
    lines = printed(write_yaml(tmp_path / "x.yaml", experiment(digits)), "model.params.wide=5")
    assert lines[0] == "index name type output"
    assert lines[1] == "0 (the model) TinyNet (1, 10)"
    assert lines[3] == "2 network.0 Conv2d (1, 5, 9, 9)"
    assert lines[-1] == "target_layer: auto is network.2 (4)"
    assert not (tmp_path / "runs").exists()


def test_lists_the_layers_of_a_run_and_of_a_checkpoint(printed, tmp_path, digits):
    run = Run.from_yaml(experiment(digits))
    run.train(tmp_path)
    expected = [layer.name for layer in run.layers()]
    lines = printed(run.directory)
    assert [line.split()[1] for line in lines[2:-1]] == expected[1:]
    checkpoint = next((run.directory / "checkpoints").glob("*.ckpt"))
    assert printed(checkpoint) == lines
    assert printed(run.directory.parent) == lines


def test_a_wrong_file_is_an_error(capsys, tmp_path):
    assert main(["layers", str(tmp_path / "none.yaml")]) == 2
    assert "none.yaml" in capsys.readouterr().err
