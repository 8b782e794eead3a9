"""The best checkpoint sent to the trackers when the training is over."""

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

TRAINING = "training"  # the key of the id in the state of the callback


def upload(
    training: FinishedTraining,
    uploads: Uploads,
    limit: timedelta,
    console: Console | None = None,
    attempts: int | None = None,
) -> StepResult:
    """Send the best checkpoint, unless it was sent, and wait until it is there.

    Args:
        training: The training that is over.
        uploads: Sends it.
        limit: How long to wait.
        console: Where progress is shown; ``None`` shows nothing.
        attempts: How many failed attempts are enough; no matter how many if left out.

    Returns:
        What the trackers have.

    Raises:
        StepSkipped: If no best checkpoint was kept, or no tracker needs it.
        UploadError: If it was not sent.
    """
    uploads.resume()
    try:
        best = training.best("loss")
    except StepSkipped:
        _wait(uploads, limit, console, attempts)  # for what was put into the spool before the checkpoint was deleted
        raise
    if reason := uploads.reason_for_none(best.path):
        raise StepSkipped(reason)
    weights = training.load(best.path)
    uploads.offer(best, training.step if weights.step is None else weights.step)
    _wait(uploads, limit, console, attempts)
    sent = {name: asdict(entry) for name, entry in uploads.sent().items()}
    return StepResult(best.path, weights.fingerprint, details={"uploads": sent})


def training_id(training: FinishedTraining, state_key: str) -> str:
    """Find the id by which a training knows its files in the spool and at the trackers.

    Args:
        training: The training that is over.
        state_key: Under which the checkpoints hold the state of the callback.

    Returns:
        That of its best checkpoint; of what waits where there is none; a new one where there is nothing.
    """
    spooled = spooled_trainings(training.directory)
    states = [training.load(best.path).callback_states for best in _best_or_none(training)]
    known = [state[state_key][TRAINING] for state in states if state_key in state]
    return str(next(iter(known + spooled[::-1]), secrets.token_hex(4)))


def is_uploaded(training: FinishedTraining, outcome: Outcome) -> bool:
    """Return whether the trackers have what would be sent now.

    Args:
        training: The training that is over.
        outcome: What became of the upload before.

    Returns:
        Whether the best checkpoint has not changed since, nor have the trackers.
    """
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
    """Show how much of the time has passed; how many bytes have arrived no tracker tells."""
    if console is None or not console.is_terminal:
        yield lambda *_: None
        return
    what = TextColumn("{task.description}", table_column=Column(no_wrap=True, overflow="ellipsis"))
    columns = BarColumn(), TimeElapsedColumn(), TextColumn(f"of at most {limit}"), what
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("", total=limit.total_seconds())
        yield lambda seconds, what: progress.update(task, completed=seconds, description=f"uploading to {what}")
