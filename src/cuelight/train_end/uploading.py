"""Upload of the best checkpoint to the trackers after the training."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from datetime import timedelta
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Column

from cuelight.tracking.outbox.uploads import Uploads, spooled_trainings
from cuelight.tracking.sending import adapters_of
from cuelight.train_end.finished_training import FinishedTraining, StepSkipped
from cuelight.train_end.outcomes import Outcome
from cuelight.train_end.running import StepResult
from cuelight.utils.files import sha256_of
from cuelight.weights.best import BestCheckpoint

TRAINING = "training"  # key of the training id in the callback's state


def upload(
    training: FinishedTraining,
    uploads: Uploads,
    limit: timedelta,
    console: Console | None = None,
    attempts: int | None = None,
) -> StepResult:
    """Send the best checkpoint, unless it was sent before, and wait until the upload is complete.

    Args:
        training: The finished training.
        uploads: The uploads of the training.
        limit: The maximum waiting time.
        console: Where progress is shown; ``None`` shows nothing.
        attempts: The maximum number of failed attempts; ``None`` retries until the limit.

    Raises:
        StepSkipped: If there is no best checkpoint, or no tracker needs it.
        UploadError: If it was not sent.
    """
    uploads.resume()
    try:
        best = training.best("loss")
    except StepSkipped:
        _wait(uploads, limit, console, attempts)  # the spool may hold a checkpoint that was deleted since
        raise
    if reason := uploads.reason_for_none(best.path):
        raise StepSkipped(reason)
    weights = training.load(best.path)
    uploads.offer(best, training.step if weights.step is None else weights.step)
    _wait(uploads, limit, console, attempts)
    sent = {name: asdict(entry) for name, entry in uploads.sent().items()}
    return StepResult(best.path, weights.fingerprint, details={"uploads": sent})


def training_id(training: FinishedTraining, state_key: str) -> str:
    """Return the id of a training in the spool and at the trackers.

    It is read from the callback's state (``state_key``) in the best checkpoint, else it is that of the training that
    used the spool last. Without either it is new.
    """
    spooled = spooled_trainings(training.directory)
    states = [training.load(best.path).callback_states for best in _best_or_none(training)]
    known = [state[state_key][TRAINING] for state in states if state_key in state]
    return str(next(iter(known + spooled[::-1]), secrets.token_hex(4)))


def is_uploaded(training: FinishedTraining, outcome: Outcome) -> bool:
    """Return whether the recorded upload is current: the same checkpoint, and as many trackers as need it now."""
    best = training.best("loss").path
    sent: Mapping[str, Mapping[str, Any]] = outcome.details["uploads"]
    trackers = [tracker for tracker in adapters_of(training.loggers) if not tracker.has(best)]
    return len(trackers) == len(sent) and {entry["sha256"] for entry in sent.values()} == {sha256_of(best)}


def _best_or_none(training: FinishedTraining) -> list[BestCheckpoint]:
    try:
        return [training.best("loss")]
    except StepSkipped:
        return []


def _wait(uploads: Uploads, limit: timedelta, console: Console | None, attempts: int | None) -> None:
    with _bar(limit, console) as show:
        uploads.wait(limit, show, attempts)


@contextmanager
def _bar(limit: timedelta, console: Console | None) -> Iterator[Callable[[float, str], None]]:
    """Show the elapsed part of the time limit; trackers do not report sent bytes."""
    if console is None or not console.is_terminal:
        yield lambda *_: None
        return
    what = TextColumn("{task.description}", table_column=Column(no_wrap=True, overflow="ellipsis"))
    columns = BarColumn(), TimeElapsedColumn(), TextColumn(f"of at most {limit}"), what
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("", total=limit.total_seconds())
        yield lambda seconds, what: progress.update(task, completed=seconds, description=f"uploading to {what}")
