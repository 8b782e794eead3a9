"""What a training leaves in the files of the trackers."""

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from cuelight.run import Run
from cuelight.tracking.loggers import build_loggers
from support.experiments import experiment, metric_rows, own_parts


@pytest.fixture(autouse=True)
def _parts():
    own_parts()


def run_of(digits, tracker=None, **trainer):
    return Run.from_yaml(experiment(digits, **trainer) | {"tracker": tracker or {}})


def curve(directory, name):
    events = EventAccumulator(str(directory))
    events.Reload()
    return [(event.step, event.value) for event in events.Scalars(name)]


def column(directory, name):
    return [(int(row["step"]), float(row[name])) for row in metric_rows(directory) if row[name]]


def test_both_trackers_have_the_same_curves(digits, tmp_path) -> None:
    run = run_of(digits)
    result = run.train(tmp_path)
    steps = {
        "train/loss": list(range(15)), "val/loss": [4, 9, 14], "val/accuracy": [4, 9, 14], "epoch": None,
        "test/accuracy": [15],
    }  # fmt: skip
    for name, expected in steps.items():
        read = curve(run.directory, name)
        if expected is None:
            continue
        assert [step for step, _ in read] == expected
        assert read == [(step, pytest.approx(value, rel=1e-6)) for step, value in column(run.directory, name)]
    assert curve(run.directory, "test/accuracy")[0][1] == pytest.approx(result.metrics["test/accuracy"])


@pytest.mark.parametrize(
    ("tracker", "files"),
    [
        ({"tensorboard": False, "csv": False}, set()),
        ({"tensorboard": False}, {"metrics.csv"}),
        ({"csv": False}, {"events"}),
        ({}, {"events", "metrics.csv"}),
    ],
    ids=["none", "csv", "tensorboard", "both"],
)
def test_each_can_be_switched_off(digits, tmp_path, tracker, files) -> None:
    run = run_of(digits, tracker, epochs=1)
    assert run.train(tmp_path).metrics
    found = {path.name if path.name == "metrics.csv" else path.name.split(".")[0] for path in run.directory.glob("*.*")}
    assert found - {"config", "hparams", "outcomes", "training", "checkpoints", "test"} == files


def test_no_logger_without_trackers(digits, tmp_path) -> None:
    config = run_of(digits, {"tensorboard": False, "csv": False}).config
    assert build_loggers(config, tmp_path) == []


def test_curves_go_on_after_a_training_is_extended(digits, tmp_path) -> None:
    first = run_of(digits, epochs=1, scheduler=None)
    first.train(tmp_path)
    longer = Run.load(first.directory, ["trainer.epochs=2"])
    longer.resume()
    assert [step for step, _ in column(first.directory, "train/loss")] == list(range(10))
    assert [step for step, _ in curve(first.directory, "train/loss")] == list(range(10))
    assert [step for step, _ in column(first.directory, "test/loss")] == [10]


def test_training_that_starts_again_in_its_directory_doubles_nothing(digits, tmp_path) -> None:
    run = run_of(digits, epochs=1, scheduler=None)
    run.train(tmp_path)
    (run.directory / "checkpoints" / "last.ckpt").unlink()
    Run.load(run.directory).resume()
    assert [step for step, _ in column(run.directory, "train/loss")] == list(range(5))
    assert [step for step, _ in curve(run.directory, "train/loss")] == list(range(5))
