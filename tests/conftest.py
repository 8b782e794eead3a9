"""Fixtures of several rooms."""

import pytest


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
