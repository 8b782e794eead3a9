"""What a training leaves in the files of the trackers."""

import pickle
import socket

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from cuelight.errors import ConfigError
from cuelight.runs.run import Run
from cuelight.tracking.loggers.build import build_loggers, reopen_loggers
from cuelight.tracking.loggers.run_ids import remember_run
from cuelight.tracking.sending import adapters_of
from support.experiments import experiment, metric_rows, own_parts, write_yaml


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
    found = {
        path.name if path.name == "metrics.csv" else path.name.split(".")[0] for path in run.directory.glob("[!.]*.*")
    }
    assert found - {"config", "hparams", "outcomes", "training", "checkpoints", "test"} == files


def test_loggers_can_be_sent_to_another_process(digits, tmp_path) -> None:
    for one in pickle.loads(pickle.dumps(build_loggers(run_of(digits).config, tmp_path))):
        one.log_metrics({"loss": 1.0}, 0)
        one.finalize("success")
    assert column(tmp_path, "loss") == [(0, 1.0)]
    assert curve(tmp_path, "loss") == [(0, 1.0)]


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
    assert [step for step, _ in column(first.directory, "test/loss")] == [5, 10]
    assert [step for step, _ in curve(first.directory, "test/loss")] == [5, 10]


def test_training_that_starts_again_in_its_directory_doubles_nothing(digits, tmp_path) -> None:
    run = run_of(digits, epochs=1, scheduler=None)
    run.train(tmp_path)
    (run.directory / "checkpoints" / "last.ckpt").unlink()
    Run.load(run.directory).resume()
    assert [step for step, _ in column(run.directory, "train/loss")] == list(range(5))
    assert [step for step, _ in curve(run.directory, "train/loss")] == list(range(5))


class TestTrackerThatIsNotSetUp:
    """A run was trained with a tracker that this machine cannot use."""

    @pytest.fixture
    def trained(self, digits, tmp_path, monkeypatch):
        monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
        run = run_of(digits, epochs=1)
        run.train(tmp_path)
        (run.directory / "outcomes.json").unlink()
        return Run.load(run.directory, ["tracker.mlflow=true"])

    def test_the_run_can_be_tested(self, trained) -> None:
        assert "test/accuracy" in trained.test().metrics

    def test_the_steps_are_done_and_what_is_not_sent_is_said(self, trained, caplog) -> None:
        [tested] = trained.finish().outcomes
        assert tested.status == "ok"
        assert caplog.text.count("tracker.mlflow: no MLflow server is set.") == 1

    def test_nothing_can_be_uploaded_or_trained(self, trained) -> None:
        for work in (trained.upload, trained.resume):
            with pytest.raises(ConfigError, match=r"tracker\.mlflow: no MLflow server is set"):
                work()


def test_tracker_that_is_not_set_up_is_named_before_a_training(digits, tmp_path, monkeypatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    file = write_yaml(tmp_path / "tiny.yaml", experiment(digits) | {"tracker": {"mlflow": True}})
    run = Run.from_yaml(file)
    with pytest.raises(ConfigError, match=r"tiny\.yaml:\d+: tracker\.mlflow: no MLflow server is set"):
        run.train(tmp_path / "runs")
    assert not (tmp_path / "runs").exists()


def test_nothing_is_sent_to_another_server_than_the_run_is_at(digits, tmp_path, caplog) -> None:
    remember_run(tmp_path, "mlflow", "http://a", "1")
    for uri, names in (("http://a", ["MLflow"]), ("http://b", [])):
        run = Run.from_yaml(experiment(digits) | {"tracker": {"csv": False, "mlflow": {"tracking_uri": uri}}})
        loggers = reopen_loggers(run.config, tmp_path)
        assert [adapter.name for adapter in adapters_of(loggers) if adapter.name == "MLflow"] == names
        assert ("this run at another address" in caplog.text) == (not names)


@pytest.mark.slow
def test_steps_are_done_while_the_server_is_down(digits, tmp_path, caplog) -> None:
    run = run_of(digits, epochs=1)
    run.train(tmp_path)
    (run.directory / "outcomes.json").unlink()
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        uri = f"http://127.0.0.1:{unused.getsockname()[1]}"
        [tested] = Run.load(run.directory, [f"tracker.mlflow.tracking_uri={uri}"]).finish().outcomes
    assert tested.status == "ok"
    assert caplog.text.count("BackgroundMLFlowLogger cannot be used") == 1
    assert "lacks" in caplog.text


@pytest.mark.slow
def test_all_share_one_time_at_the_end(digits, tmp_path) -> None:
    tracker = {
        "tensorboard": {"dir": str(tmp_path / "mirror")}, "mlflow": {"tracking_uri": "http://x"}, "wandb": True,
    }  # fmt: skip
    loggers = build_loggers(run_of(digits, tracker).config, tmp_path)
    assert len({id(one._deadline) for one in loggers if hasattr(one, "_deadline")}) == 1
    assert sum(hasattr(one, "_deadline") for one in loggers) == 3
