"""Sending to all trackers of a trainer, from rank zero.

If one fails, a warning is logged, and the other trackers and the training continue.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from lightning.pytorch.loggers import Logger
from lightning.pytorch.utilities import rank_zero_only
from numpy.typing import NDArray

from cuelight.tracking.logger_adapter import LoggerAdapter, adapter_of
from cuelight.utils.redaction import reason_of

logger = logging.getLogger(__name__)


def adapters_of(loggers: Iterable[Logger]) -> Iterator[LoggerAdapter]:
    """Yield the adapter of each logger that takes more than metrics and hyperparameters."""
    for one in loggers:
        found: list[LoggerAdapter] = []
        _isolated(one, "anything", found.append, also_plain=False)
        yield from found


@rank_zero_only
def send_image(loggers: Iterable[Logger], name: str, image: NDArray[np.uint8], step: int, caption: str = "") -> None:
    """Send an image.

    Args:
        loggers: The loggers of a trainer.
        name: Its name, with slashes for groups.
        image: RGB, ``(H, W, 3)``.
        step: The optimizer step.
        caption: A caption, if the tracker shows one.
    """
    _to_each(loggers, name, lambda tracker: tracker.log_image(name, image, step, caption))


@rank_zero_only
def send_text(loggers: Iterable[Logger], name: str, text: str, step: int) -> None:
    """Send text.

    Args:
        loggers: The loggers of a trainer.
        name: Its name, with slashes for groups.
        text: Markdown.
        step: The optimizer step.
    """
    _to_each(loggers, name, lambda tracker: tracker.log_text(name, text, step))


@rank_zero_only
def send_table(
    loggers: Iterable[Logger], name: str, columns: Sequence[str], rows: Sequence[Sequence[Any]], step: int
) -> None:
    """Send a table.

    Args:
        loggers: The loggers of a trainer.
        name: Its name, with slashes for groups.
        columns: The heading of each column.
        rows: The cells of each row, text or numbers.
        step: The optimizer step.
    """
    _to_each(loggers, name, lambda tracker: tracker.log_table(name, columns, rows, step))


@rank_zero_only
def send_artifact(loggers: Iterable[Logger], file: Path, folder: str = "", *, to_folders: bool = True) -> None:
    """Send a file to each tracker that does not have it already, without waiting.

    Args:
        loggers: The loggers of a trainer.
        file: The file.
        folder: The folder inside the tracker's ``place``.
        to_folders: Whether trackers that keep their files in a folder get a copy too.
    """

    def send(tracker: LoggerAdapter) -> None:
        if not tracker.has(file) and (to_folders or not tracker.is_shared):
            tracker.log_artifact(file, folder, wait=False)

    _to_each(loggers, file.name, send)


@rank_zero_only
def send_metrics(loggers: Iterable[Logger], metrics: Mapping[str, float], step: int) -> None:
    """Send metrics, also to loggers that take nothing else.

    Args:
        loggers: The loggers of a trainer.
        metrics: Values by name.
        step: The optimizer step.
    """
    _to_each(loggers, ", ".join(metrics), lambda to: to.log_metrics(metrics, step), also_plain=True)


@rank_zero_only
def send_hyperparams(loggers: Iterable[Logger], params: Mapping[str, Any]) -> None:
    """Send hyperparameters, also to loggers that take nothing else.

    Args:
        loggers: The loggers of a trainer.
        params: Scalars, lists and mappings by name.
    """
    _to_each(loggers, "hyperparameters", lambda to: to.log_hyperparams(dict(params)), also_plain=True)


def _to_each(loggers: Iterable[Logger], what: str, send: Callable[[Any], None], *, also_plain: bool = False) -> None:
    for one in loggers:
        _isolated(one, what, send, also_plain)


def _isolated(one: Logger, what: str, send: Callable[[Any], None], also_plain: bool) -> None:
    try:
        receiver = adapter_of(one) or (one if also_plain else None)
        if receiver is not None:
            send(receiver)
    except Exception as error:  # noqa: BLE001 - a tracker may raise anything, and must not end the training
        logger.warning("%s could not log %s: %s", type(one).__name__, what, reason_of(error))
