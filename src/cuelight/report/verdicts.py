"""The status of a run, in a sentence."""

from __future__ import annotations

import math
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from cuelight.report.charts import Best
from cuelight.report.curves import Curves
from cuelight.report.numbers import duration
from cuelight.report.steps import Steps
from cuelight.utils.files import read_json, short_path
from cuelight.utils.journal import lacking
from cuelight.utils.redaction import redacted_text
from cuelight.utils.run_directory import CHECKPOINT_FOLDER, CONFIG_FILE, LAST_CHECKPOINT, TRAINING_FILE, still_runs

Tone = Literal["good", "warning", "bad"]

_UNFINISHED: dict[Any, tuple[Tone, str]] = {
    "running": ("bad", "The training was killed, or the machine went down"),
    "interrupted": ("warning", "The training was interrupted"),
    "failed": ("bad", "The training failed"),
}


@dataclass(frozen=True)
class Verdict:
    """The status of a run, and the command to run next if there is one."""

    tone: Tone = "warning"
    headline: str = "The status of the training is unknown"
    details: Sequence[str] = ()
    command: str = ""


def read_record(directory: Path) -> dict[str, Any]:
    """Read ``training.json``; empty if there is none, as for your own Trainer."""
    return read_json(directory / TRAINING_FILE, "The next training in this run directory replaces it.") or {}


def verdict_of(directory: Path, record: Mapping[str, Any], steps: Steps) -> Verdict:
    """Return the status of a run from its ``training.json`` and the steps after the training."""
    run = shlex.quote(short_path(directory))
    resume, finish = f"cuelight train --resume {run}", f"cuelight finish {run}"
    status = record.get("status")
    details = [text for text in (_how_long(record), redacted_text(str(record.get("reason", "")))) if text]
    if status == "running" and (running := _running(record.get("process", {}), resume)):
        verdict = running
    elif status in _UNFINISHED:
        verdict = Verdict(*_UNFINISHED[status], details, resume)
    elif steps.failed:
        failed = f"{' and '.join(steps.failed)} failed after the training"
        verdict = Verdict("bad", failed, details, finish if _has_model(directory) else "")
    elif steps.agreement is False:
        verdict = Verdict("bad", "The exported weights are not the tested weights", details, finish)
    elif missing := [f"{receiver} lacks {what}." for receiver, what in lacking(directory).items()]:
        details += [redacted_text(text) for text in missing]
        verdict = Verdict("warning", "A tracker does not have all of this run", details, f"cuelight upload {run}")
    elif status == "complete":
        verdict = Verdict("good", "The training is complete", details)
    elif steps.steps:
        verdict = Verdict("good", "The training has ended, and the steps after it ran")
    else:
        verdict = Verdict(details=[f"There is no {TRAINING_FILE}."])
    return verdict if (directory / CONFIG_FILE).is_file() else replace(verdict, command="")  # no command can open it


def best_of(record: Mapping[str, Any], curves: Curves) -> Best | None:
    """Return the recorded best checkpoint, or without a record the lowest ``val/loss`` that was logged."""
    recorded = record.get("best")
    if recorded:
        first = recorded[0]
        score = math.nan if first["score"] is None else float(first["score"])  # JSON has no NaN
        found = Best(str(first["monitor"]), score, str(first["path"]))
    elif losses := [value for _, value in curves.points.get("val/loss", ()) if value == value]:  # noqa: PLR0124 - NaN
        found = Best("val/loss", min(losses))
    else:
        return None
    points = curves.points.get(found.monitor)
    if not points or math.isnan(found.score):
        return found
    step = min(points, key=lambda point: abs(point[1] - found.score) if point[1] == point[1] else float("inf"))[0]
    epoch = next((number for number, last in curves.epochs.items() if step <= last), None)
    return replace(found, step=step, epoch=epoch)


def _has_model(directory: Path) -> bool:
    """Return whether there is a checkpoint for the steps; there is none if no model was finite."""
    return any(file.name != LAST_CHECKPOINT for file in (directory / CHECKPOINT_FOLDER).rglob("*.ckpt"))


def _how_long(record: Mapping[str, Any]) -> str:
    epochs = record.get("epochs")
    counts = f"{epochs} {'epoch' if epochs == 1 else 'epochs'}, {record.get('steps')} optimizer steps"
    try:
        began, ended = (datetime.fromisoformat(record[key]) for key in ("began", "ended"))
    except (KeyError, TypeError, ValueError):
        return counts if "epochs" in record else ""
    return f"{counts}, {duration((ended - began).total_seconds())} from {began:%Y-%m-%d %H:%M}"


def _running(process: Mapping[str, Any], resume: str) -> Verdict | None:
    """Return the status of a training whose end is not recorded; ``None`` if it was killed."""
    alive = still_runs(process)
    if alive is None:
        host = process.get("host", "another machine")
        told = "Check on that machine whether it is still running. If it is not, run the command below."
        return Verdict("warning", f"The training was running on {host} at its last update", [told], resume)
    told = "This page shows its state when the page was written."
    return Verdict("warning", "The training is still running", [told]) if alive else None
