"""Verify that the exported files hold the weights that were measured."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cuelight.errors import CuelightError
from cuelight.evaluation.read_results import read_results
from cuelight.prediction.onnx_model import OnnxModel
from cuelight.train_end.outcomes import Outcome, measured_fingerprints, read_outcomes
from cuelight.utils.files import sha256_of
from cuelight.utils.journal import lacking
from cuelight.weights.fingerprint import fingerprint_of_file

_SHOWN = 12  # digits of a fingerprint
_ROUNDED = 1e-6  # of a number that was logged in single precision


@dataclass(frozen=True)
class Check:
    """One check of ``cuelight verify``.

    Args:
        subject: The file, step or upload that was checked.
        ok: Whether the check passed.
        detail: The found and the expected value.
    """

    subject: str
    ok: bool
    detail: str


def verify(directory: Path) -> list[Check]:
    """Compare every file that the steps of a run wrote with its checkpoint.

    Returns:
        For each file in ``outcomes.json``, whether its SHA-256 is unchanged. For each result, ONNX file and archive,
        whether it names the weights that the checkpoint holds now. For each upload, whether it was that checkpoint.
        For each export and archive, whether its weights were measured, and if its outputs are decoded in another way.
    """
    outcomes = [outcome for outcome in read_outcomes(directory).values() if outcome.status == "ok"]
    checks = []
    weights: dict[str, str] = {}
    for outcome in outcomes:
        checks += [_bytes(directory, path, recorded) for path, recorded in outcome.files.items()]
        if outcome.checkpoint not in weights:
            check, weights[outcome.checkpoint] = _weights(directory, outcome)
            checks.append(check)
        expected = weights[outcome.checkpoint] or outcome.weights_fingerprint
        checks += _made_of(directory, outcome, expected)
        checks += _uploaded(directory, outcome)
        checks += _decoded(directory, outcome, outcomes)
    waiting = [Check(receiver, False, f"lacks {what}") for receiver, what in lacking(directory).items()]
    return [*checks, *_measured(outcomes), *waiting]


def _measured(outcomes: Sequence[Outcome]) -> Iterator[Check]:
    measured = measured_fingerprints(outcomes)
    for outcome in outcomes:
        if not outcome.is_shipment:
            continue
        weights = outcome.weights_fingerprint
        if not measured:
            yield Check(outcome.step, True, f"contains weights {weights[:_SHOWN]}; no weights were tested")
        elif weights in measured:
            yield Check(outcome.step, True, f"contains the tested weights, {weights[:_SHOWN]}")
        else:
            found = ", ".join(fingerprint[:_SHOWN] for fingerprint in measured)
            yield Check(outcome.step, False, f"contains weights {weights[:_SHOWN]}, but the tested weights are {found}")


def _bytes(directory: Path, path: str, recorded: str) -> Check:
    file = directory / path
    if not file.is_file():
        return Check(path, False, "the file does not exist")
    found = sha256_of(file)
    if found == recorded:
        return Check(path, True, f"unchanged, sha256 {recorded[:_SHOWN]}")
    return Check(path, False, f"the file was changed: sha256 {found[:_SHOWN]}, expected {recorded[:_SHOWN]}")


def _weights(directory: Path, outcome: Outcome) -> tuple[Check, str]:
    try:
        found = fingerprint_of_file(directory / outcome.checkpoint)
    except CuelightError as error:
        return Check(outcome.checkpoint, False, str(error)), ""
    if found == outcome.weights_fingerprint:
        return Check(outcome.checkpoint, True, f"weights {found[:_SHOWN]}"), found
    detail = f"contains weights {found[:_SHOWN]}, but {outcome.step} used {outcome.weights_fingerprint[:_SHOWN]}"
    return Check(outcome.checkpoint, False, detail), found


def _uploaded(directory: Path, outcome: Outcome) -> Iterator[Check]:
    file = directory / outcome.checkpoint
    found = sha256_of(file) if file.is_file() else ""
    for name, sent in outcome.details.get("uploads", {}).items():
        detail = f"uploaded, sha256 {sent['sha256'][:_SHOWN]}"
        if found and found != sent["sha256"]:
            detail += f", but {outcome.checkpoint} is {found[:_SHOWN]}"
        yield Check(f"{name}: {sent['name']}", found in {"", sent["sha256"]}, detail)


def _made_of(directory: Path, outcome: Outcome, weights: str) -> Iterator[Check]:
    for path in outcome.files:
        if not (directory / path).is_file():
            continue
        try:
            named = list(_named_weights(directory / path))
        except (CuelightError, OSError) as error:
            yield Check(path, False, str(error))
            continue
        for found in named:
            detail = f"created from weights {found[:_SHOWN]}"
            yield Check(
                path, found == weights, detail if found == weights else f"{detail}, expected {weights[:_SHOWN]}"
            )


def _decoded(directory: Path, outcome: Outcome, outcomes: Sequence[Outcome]) -> Iterator[Check]:
    """Compare how a shipped file is decoded with what a test of its weights has used, such as a threshold."""
    tested = [one for one in outcomes if one.is_measurement and one.weights_fingerprint == outcome.weights_fingerprint]
    for path in outcome.files if outcome.is_shipment else ():
        with suppress(CuelightError, OSError):  # named by the other checks
            used = dict(value for one in tested for value in _measured_values(directory, one))
            metadata = OnnxModel.open(directory / path).metadata
            decoding = (metadata.decoding or {}) if metadata else {}
            for name in decoding.keys() & used.keys():
                for now, then in zip(_numbers(decoding[name]), _numbers(used[name]), strict=False):
                    if then is not None and abs(now - then) > _ROUNDED:
                        yield Check(path, False, f"decoded with {name} {now:g}, but tested with {then:g}")
                        break


def _measured_values(directory: Path, outcome: Outcome) -> Iterator[tuple[str, Any]]:
    """Yield metrics without the name of their split, and tables, with a value for each class."""
    yield from ((name.rpartition("/")[2], value) for name, value in outcome.details["metrics"].items())
    for path in outcome.files:
        if path.endswith(".json"):
            for entry in read_results(directory / path).values():
                yield from ((name, list(rows.values())) for name, rows in entry.items() if isinstance(rows, dict))


def _numbers(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _named_weights(file: Path) -> Iterator[str]:
    """Read the weights fingerprints that a file records."""
    if file.suffix == ".json":
        yield from (entry["weights_fingerprint"] for entry in read_results(file).values())
    elif file.suffix == ".onnx" or ".tar" in file.suffixes:
        metadata = OnnxModel.open(file).metadata
        yield metadata.fingerprint if metadata else "(none)"
