"""Fixtures of several rooms."""

import logging
import os
import sys
from typing import Any

import pytest

# Two test processes share two cores, and threads that wait for each other's cores take many times as long.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.pop("COLUMNS", None)  # pytest-xdist sets it, and tables would be made for that width


@pytest.fixture(autouse=True)
def _hidden_values(monkeypatch):
    """Let no test hide the values of another one."""
    from cuelight.utils import hidden_values

    monkeypatch.setattr(hidden_values, "_shown", {})
    monkeypatch.setattr(hidden_values, "_public", set())


@pytest.fixture(autouse=True)
def _log_lines():
    """Let no command that ran in a test write the log lines of the next one, to a stream that is closed by then."""
    yield
    display: Any = sys.modules.get("cuelight.cli.display")  # not imported for every test
    root = logging.getLogger()
    for handler in list(root.handlers):
        if display and isinstance(handler.formatter, display.HidingFormatter):
            root.removeHandler(handler)
    logging.getLogger("cuelight").setLevel(logging.NOTSET)


@pytest.fixture(scope="session")
def digits(tmp_path_factory):
    """A file of few digits, for the data part FewDigits."""
    from support.experiments import write_digits

    return write_digits(tmp_path_factory.mktemp("digits") / "few.npz")


@pytest.fixture(scope="session")
def mlflow_uri(tmp_path_factory):
    """The address of an MLflow server that all tests share."""
    from support.mlflow_server import mlflow_server

    with mlflow_server(tmp_path_factory.mktemp("mlflow")) as server:
        yield server.uri
