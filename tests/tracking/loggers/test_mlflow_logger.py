"""Which errors of a server are temporary, and for which server something waits."""

from types import SimpleNamespace

import pytest

from cuelight.tracking.loggers.mlflow_logger import BackgroundMLFlowLogger, _is_refusal
from cuelight.tracking.outbox.sender import Sender
from cuelight.utils.journal import lacking


def error_of(status, text):
    from mlflow.exceptions import MlflowException
    from mlflow.utils.rest_utils import verify_rest_response

    with pytest.raises(MlflowException) as raised:
        verify_rest_response(SimpleNamespace(status_code=status, text=text), "/api/2.0/mlflow/runs/log-batch")
    return raised.value


@pytest.mark.parametrize("status", [401, 403, 404, 413, 429, 500, 502, 503, 504])
@pytest.mark.parametrize("text", ["<html>no</html>", '{"detail": "no"}'])
def test_errors_of_a_proxy_are_tried_again(status, text) -> None:
    assert not _is_refusal(error_of(status, text))


@pytest.mark.parametrize("code", ["PERMISSION_DENIED", "UNAUTHENTICATED", "INTERNAL_ERROR", "TEMPORARILY_UNAVAILABLE"])
def test_temporary_errors_are_tried_again(code) -> None:
    assert not _is_refusal(error_of(403, f'{{"error_code": "{code}", "message": "no"}}'))


@pytest.mark.parametrize("code", ["INVALID_PARAMETER_VALUE", "RESOURCE_DOES_NOT_EXIST", "BAD_REQUEST"])
def test_refusals_of_mlflow_are_not_tried_again(code) -> None:
    assert _is_refusal(error_of(400, f'{{"error_code": "{code}", "message": "no"}}'))


def test_connection_that_breaks_is_tried_again() -> None:
    assert not _is_refusal(ConnectionError("nobody there"))


def test_what_waits_for_one_server_is_not_sent_to_another(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(Sender, "wake", lambda _: None)  # nothing is sent
    for port in (1, 2):
        logger = BackgroundMLFlowLogger(tmp_path, f"http://127.0.0.1:{port}", "experiment", "run")
        logger.log_metrics({"loss": 1.0}, port)
    assert lacking(tmp_path) == {f"MLflow at http://127.0.0.1:{port}": "metrics not sent yet" for port in (1, 2)}
