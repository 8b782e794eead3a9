"""Sends to all trackers of a trainer, from rank zero; one that fails is reported, and takes nothing with it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from lightning.pytorch.loggers import Logger
from lightning.pytorch.utilities import rank_zero_only
from numpy.typing import NDArray

from cuelight.redaction import reason_of
from cuelight.tracking.tracker import Tracker, tracker_of

logger = logging.getLogger(__name__)


def trackers_of(loggers: Iterable[Logger]) -> Iterator[Tracker]:
    """List the trackers of loggers.

    Args:
        loggers: The loggers of a trainer.

    Yields:
        One for each that takes more than metrics.
    """
    yield from (tracker for tracker in map(tracker_of, loggers) if tracker is not None)


@rank_zero_only
def send_image(loggers: Iterable[Logger], name: str, image: NDArray[np.uint8], step: int, caption: str = "") -> None:
    """Send a picture; see ``Tracker.log_image``.

    Args:
        loggers: The loggers of a trainer.
        name: Its name.
        image: Red, green and blue, ``(H, W, 3)``.
        step: The optimizer step.
        caption: A line to read below it.
    """
    _to_each(loggers, name, lambda tracker: tracker.log_image(name, image, step, caption))


@rank_zero_only
def send_text(loggers: Iterable[Logger], name: str, text: str, step: int) -> None:
    """Send text; see ``Tracker.log_text``.

    Args:
        loggers: The loggers of a trainer.
        name: Its name.
        text: The text, as Markdown.
        step: The optimizer step.
    """
    _to_each(loggers, name, lambda tracker: tracker.log_text(name, text, step))


@rank_zero_only
def send_table(
    loggers: Iterable[Logger], name: str, columns: Sequence[str], rows: Sequence[Sequence[Any]], step: int
) -> None:
    """Send a table; see ``Tracker.log_table``.

    Args:
        loggers: The loggers of a trainer.
        name: Its name.
        columns: The heading of each column.
        rows: The cells of each row.
        step: The optimizer step.
    """
    _to_each(loggers, name, lambda tracker: tracker.log_table(name, columns, rows, step))


@rank_zero_only
def send_artifact(loggers: Iterable[Logger], file: Path, folder: str = "") -> None:
    """Send a file to each tracker that does not have it already; see ``Tracker.log_artifact``.

    Args:
        loggers: The loggers of a trainer.
        file: The file.
        folder: The folder of the tracker that it belongs to.
    """
    _to_each(loggers, file.name, lambda tracker: None if tracker.has(file) else tracker.log_artifact(file, folder))


@rank_zero_only
def send_metrics(loggers: Iterable[Logger], metrics: Mapping[str, float], step: int) -> None:
    """Send numbers, also to loggers that take nothing else.

    Args:
        loggers: The loggers of a trainer.
        metrics: Each by its name.
        step: The optimizer step.
    """
    for one in loggers:
        receiver = tracker_of(one) or one
        _isolated(one, ", ".join(metrics), lambda to=receiver: to.log_metrics(metrics, step))  # type: ignore[misc]


@rank_zero_only
def send_hyperparams(loggers: Iterable[Logger], params: Mapping[str, Any]) -> None:
    """Send hyperparameters, also to loggers that take nothing else.

    Args:
        loggers: The loggers of a trainer.
        params: Scalars, lists and mappings by name.
    """
    for one in loggers:
        receiver = tracker_of(one) or one
        _isolated(one, "hyperparameters", lambda to=receiver: to.log_hyperparams(dict(params)))  # type: ignore[misc]


def _to_each(loggers: Iterable[Logger], what: str, send: Callable[[Tracker], Any]) -> None:
    for one in loggers:
        tracker = tracker_of(one)
        if tracker is not None:
            _isolated(one, what, lambda to=tracker: send(to))  # type: ignore[misc]


def _isolated(one: Logger, what: str, send: Callable[[], Any]) -> None:
    try:
        send()
    except Exception as error:  # noqa: BLE001 - a tracker may fail in any way, and a training goes on without it
        logger.warning("%s did not take %s: %s", type(one).__name__, what, reason_of(error))
