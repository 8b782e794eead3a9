"""What became of each step, in a file that is always whole."""

import json

import pytest

from cuelight.errors import CuelightError
from cuelight.train_end.outcomes import Outcome, hashes, measured_fingerprints, read_outcomes, record_outcome


def test_outcomes_are_read_as_written_in_the_order_of_their_first_run(tmp_path) -> None:
    first, second = Outcome("First", "ok", details={"a": [1, None]}), Outcome("Second", "skipped", "nothing to do.")
    for outcome in (first, second):
        record_outcome(tmp_path, outcome)
    assert read_outcomes(tmp_path) == {"First": first, "Second": second}
    again = Outcome("First", "failed", "no good.")
    record_outcome(tmp_path, again)
    assert list(read_outcomes(tmp_path).values()) == [again, second]


def test_changed_and_missing_files_are_noticed(tmp_path) -> None:
    for name in ("a.ckpt", "b.onnx"):
        (tmp_path / name).write_text(name)
    outcome = Outcome("First", "ok", checkpoint="a.ckpt", files=hashes([tmp_path / "b.onnx"], tmp_path))
    assert outcome.is_intact(tmp_path)
    (tmp_path / "b.onnx").write_text("other")
    assert not outcome.is_intact(tmp_path)
    (tmp_path / "b.onnx").write_text("b.onnx")
    (tmp_path / "a.ckpt").unlink()
    assert not outcome.is_intact(tmp_path)


@pytest.mark.parametrize(
    ("status", "details", "is_measurement", "is_shipment"),
    [
        ("ok", {"metrics": {}}, True, False),
        ("ok", {"uploads": {}}, False, False),
        ("ok", {}, False, True),
        ("failed", {"traceback": []}, False, False),
    ],
    ids=["test", "upload", "export", "failed"],
)
def test_what_a_step_did_with_the_weights(status, details, is_measurement, is_shipment) -> None:
    outcome = Outcome("Step", status, weights_fingerprint="ab", details=details)
    assert (outcome.is_measurement, outcome.is_shipment) == (is_measurement, is_shipment)
    assert measured_fingerprints([outcome]) == (["ab"] if is_measurement else [])


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        "[" * 100_000,
        "{}",
        '{"steps": 3}',
        '{"steps": [{"name": 1}]}',
        '{"steps": [{"step": 3, "status": "ok"}]}',
        '{"steps": [{"step": "Test", "status": "ok", "files": [1]}]}',
        '{"steps": [{"step": "Test", "status": "done"}]}',
        '{"steps": [{"step": "Test", "status": "ok", "details": {"metrics": 3}}]}',
        '{"steps": [{"step": "Test", "status": "ok", "details": {"uploads": {"mlflow": {"sha256": "a"}}}}]}',
        '{"steps": [{"step": "Test", "status": "ok", "details": {"traceback": 3}}]}',
    ],
)
def test_damaged_file_is_said(tmp_path, text) -> None:
    (tmp_path / "outcomes.json").write_text(text)
    with pytest.raises(CuelightError, match=r"outcomes\.json: this file is damaged"):
        read_outcomes(tmp_path)


def test_numbers_that_are_not_finite_are_null(tmp_path) -> None:
    record_outcome(tmp_path, Outcome("First", "ok", details={"metrics": {"a": float("nan"), "b": (1.0, float("inf"))}}))
    (entry,) = json.loads((tmp_path / "outcomes.json").read_text())["steps"]
    assert entry["details"]["metrics"] == {"a": None, "b": [1.0, None]}
