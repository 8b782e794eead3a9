"""The file of run ids is read back, and named if it is damaged."""

import pytest

from cuelight.errors import CuelightError
from cuelight.tracking.loggers.run_ids import remember_run, remembered_run


def test_a_run_is_remembered_for_each_place(tmp_path) -> None:
    assert remembered_run(tmp_path, "mlflow", "here") is None
    remember_run(tmp_path, "mlflow", "here", "1")
    remember_run(tmp_path, "mlflow", "there", "2")
    assert [remembered_run(tmp_path, "mlflow", at) for at in ("here", "there")] == ["1", "2"]


@pytest.mark.parametrize("text", ["[" * 100_000, "[]", "{"])
def test_a_damaged_file_is_named(tmp_path, text) -> None:
    (tmp_path / "trackers.json").write_text(text)
    with pytest.raises(CuelightError, match=r"trackers\.json: this file is damaged"):
        remembered_run(tmp_path, "mlflow", "here")
