"""A step run by itself: what is recorded of it."""

import pytest

from cuelight.errors import UploadError
from cuelight.train_end.outcomes import OUTCOMES_FILE
from cuelight.train_end.running import run_step

SECRET = "hunter2xyz"
ADDRESS = f"https://ada:{SECRET}@example.org"


@pytest.mark.parametrize("error", [UploadError, ConnectionError], ids=["own", "foreign"])
def test_password_in_an_error_is_neither_logged_nor_recorded(tmp_path, caplog, error) -> None:
    def failing():
        raise error(f"no answer from {ADDRESS}") from ValueError(f"password: {SECRET}")

    outcome = run_step("Failing", tmp_path, failing)
    assert outcome.reason.endswith("no answer from https://REDACTED@example.org")
    assert outcome.reason in caplog.text
    assert SECRET not in caplog.text + (tmp_path / OUTCOMES_FILE).read_text()


def test_traceback_tells_where_a_foreign_error_came_from(tmp_path) -> None:
    def failing():
        raise ZeroDivisionError("no good")

    traceback = "".join(run_step("Failing", tmp_path, failing).details["traceback"])
    assert "in failing" in traceback
    assert traceback.endswith("ZeroDivisionError: no good\n")
