"""Measured is shipped: what does not fit is found."""

import json

import pytest
import torch

from cuelight.train_end.finished_training import FinishedTraining
from cuelight.train_end.outcomes import Outcome, record_outcome
from cuelight.train_end.verifying import verify
from cuelight.utils.files import sha256_of
from cuelight.weights.fingerprint import fingerprint_of_file
from support.onnx_files import SIZE, describe, network, write_onnx


def run_with(folder, **used):
    """A run directory with two checkpoints, and steps that used one of them."""
    for value, name in enumerate(("a", "b")):
        torch.save({"state_dict": {"weight": torch.full((2,), float(value))}}, folder / f"{name}.ckpt")
    for step, name in used.items():
        details = {"metrics": {"test/loss": 1.0}} if step.startswith("Test") else {}
        weights = fingerprint_of_file(folder / f"{name}.ckpt")
        record_outcome(folder, Outcome(step, "ok", "", 1.0, f"{name}.ckpt", weights, {}, details))
    return FinishedTraining(directory=folder, make_module=lambda _: None, kept=list)


def found(folder, **used):
    return [(check.subject, check.ok) for check in verify(run_with(folder, **used).directory)]


def test_the_same_weights(tmp_path) -> None:
    expected = [("a.ckpt", True), ("ExportOnTrainEnd", True)]
    assert found(tmp_path, TestOnTrainEnd="a", ExportOnTrainEnd="a") == expected


def test_other_weights_than_those_that_were_measured(tmp_path) -> None:
    expected = [("a.ckpt", True), ("b.ckpt", True), ("ExportOnTrainEnd", False)]
    assert found(tmp_path, TestOnTrainEnd="a", ExportOnTrainEnd="b") == expected


def test_nothing_was_measured(tmp_path) -> None:
    checks = verify(run_with(tmp_path, ExportOnTrainEnd="a").directory)
    assert all(check.ok for check in checks)
    assert "no weights were tested" in checks[-1].detail


def test_checkpoint_was_replaced(tmp_path) -> None:
    training = run_with(tmp_path, TestOnTrainEnd="a")
    (tmp_path / "a.ckpt").write_bytes((tmp_path / "b.ckpt").read_bytes())
    assert [check.ok for check in verify(training.directory)] == [False]


@pytest.mark.parametrize(
    ("shipped", "detail"),
    [
        ([0.25, 0.5], None),
        ([0.25, 0.75], "decoded with thresholds 0.75, but tested with 0.5"),
        ([0.125, 0.75], "decoded with thresholds 0.125, but tested with 0.25"),
    ],
)
def test_a_file_with_other_thresholds_than_those_that_were_measured(tmp_path, shipped, detail) -> None:
    weights = fingerprint_of_file(run_with(tmp_path).directory / "a.ckpt")
    results = {"test": {"weights_fingerprint": weights, "thresholds": {"cat": 0.25, "dog": 0.5}, "data": {}}}
    (tmp_path / "results.json").write_text(json.dumps(results))
    told = describe(fingerprint=weights, decoding={"thresholds": shipped})
    write_onnx(tmp_path / "model.onnx", network(), torch.zeros(1, 3, *SIZE), told)
    for step, file in (("TestOnTrainEnd", "results.json"), ("ExportOnTrainEnd", "model.onnx")):
        details = {"metrics": {"test/loss": 1.0}} if file == "results.json" else {}
        files = {file: sha256_of(tmp_path / file)}
        record_outcome(tmp_path, Outcome(step, "ok", "", 1.0, "a.ckpt", weights, files, details))
    assert [check.detail for check in verify(tmp_path) if not check.ok] == ([detail] if detail else [])
