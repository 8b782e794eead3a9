"""Measured is shipped: what does not fit is found."""

import torch

from cuelight.train_end.finished_training import FinishedTraining
from cuelight.train_end.outcomes import Outcome, record_outcome
from cuelight.train_end.verifying import verify
from cuelight.weights.fingerprint import fingerprint_of_file


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
