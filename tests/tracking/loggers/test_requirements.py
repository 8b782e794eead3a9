"""What is missing for a tracker is said before a training."""

import importlib.util

import pytest

from cuelight.config.tracker import TrackerConfig
from cuelight.tracking.loggers import requirements
from cuelight.tracking.loggers.requirements import tracker_problems, usable_trackers


def problems(**trackers):
    return [f"{problem.path}: {problem.message}" for problem in tracker_problems(TrackerConfig(**trackers))]


@pytest.fixture(autouse=True)
def _no_server(monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


def test_nothing_is_missing_for_what_is_there(monkeypatch) -> None:
    server = {"tracking_uri": "http://localhost:5000"}
    assert problems(mlflow=server, wandb=True, tensorboard={"dir": "s3://bucket/logs"}) == []
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://localhost:5000")
    assert problems(mlflow=True) == []


@pytest.mark.parametrize(("name", "title"), [("mlflow", "MLflow"), ("wandb", "W&B")])
def test_package_that_is_missing(name, title, monkeypatch) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(requirements, "find_spec", lambda module: None if module == name else found(module))
    section = {"tracking_uri": "http://localhost:5000"} if name == "mlflow" else True
    expected = f'tracker.{name}: {title} is not installed. Install it with: pip install "cuelight[{name}]"'
    assert problems(**{name: section}) == [expected]


def test_server_has_to_be_named() -> None:
    [problem] = problems(mlflow={"experiment": "digits"})
    assert problem.startswith("tracker.mlflow: no MLflow server is set. Expected tracking_uri")


@pytest.mark.parametrize("uri", ["localhost:5000", "localhost", "10.0.0.3:5000", "mlflow.example.com:443/ml"])
def test_server_without_its_protocol(uri) -> None:
    [problem] = problems(mlflow={"tracking_uri": uri})
    assert problem.startswith(f'tracker.mlflow.tracking_uri: "{uri}" would be a local folder')
    assert f"Write http://{uri} " in problem


@pytest.mark.parametrize(
    "uri", ["https://mlflow.example.com", "sqlite:///mlflow.db", "databricks://profile", "./localhost", "mlruns"]
)
def test_other_stores_of_mlflow(uri) -> None:
    assert problems(mlflow={"tracking_uri": uri}) == []


def test_url_without_a_bucket() -> None:
    [problem] = problems(tensorboard={"dir": "s3://"})
    assert problem == "tracker.tensorboard.dir: s3:// has no folder name. Expected a URL such as s3://bucket/logs."


def test_file_system_that_is_unknown() -> None:
    [problem] = problems(tensorboard={"dir": "s4://bucket"})
    assert problem == "tracker.tensorboard.dir: s4:// cannot be used: Protocol not known: s4."


def test_package_of_a_file_system_is_missing(monkeypatch) -> None:
    def missing(protocol):
        raise ImportError("Install s3fs to access S3")

    monkeypatch.setattr(requirements, "get_filesystem_class", missing)
    [problem] = problems(tensorboard={"dir": "s3://bucket"})
    assert problem.endswith('s3:// cannot be used: Install s3fs to access S3. Or: pip install "cuelight[s3]"')


def test_what_lacks_something_is_left_out_and_said(caplog) -> None:
    section = TrackerConfig(mlflow=True, wandb=True, tensorboard={"dir": "s4://bucket"})
    assert usable_trackers(section) == TrackerConfig(wandb=True)
    assert [message.partition(":")[0] for message in caplog.messages] == ["tracker.mlflow", "tracker.tensorboard.dir"]
    assert all(message.endswith("Nothing is logged there.") for message in caplog.messages)


def test_nothing_is_left_out_where_nothing_is_missing(caplog) -> None:
    section = TrackerConfig(mlflow={"tracking_uri": "http://localhost:5000"})
    assert usable_trackers(section) is section
    assert caplog.messages == []


@pytest.mark.parametrize(
    ("uri", "reason"),
    [
        ("http://localhost:5000", None),
        ("sqlite:///mlflow.db", None),
        ("databricks", None),
        ("folder/of/runs", None),
        ("foo://server", "foo:// cannot be used: NoSuchModuleError"),
        ("mysql+nodriver://ada:hunter2@db/runs", "mysql+nodriver:// cannot be used: NoSuchModuleError"),
        ("mssql://ada:hunter2@db/runs", "mssql:// cannot be used: ModuleNotFoundError"),
    ],
)
def test_store_whose_package_is_missing(uri, reason) -> None:
    found = problems(mlflow={"tracking_uri": uri})
    assert len(found) == (reason is not None)
    assert all(reason in problem and "hunter2" not in problem for problem in found)
