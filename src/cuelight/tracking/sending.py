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
    """Send an image, as in :meth:`LoggerAdapter.log_image`."""
    _to_each(loggers, name, lambda tracker: tracker.log_image(name, image, step, caption))


@rank_zero_only
def send_text(loggers: Iterable[Logger], name: str, text: str, step: int) -> None:
    """Send text, as in :meth:`LoggerAdapter.log_text`."""
    _to_each(loggers, name, lambda tracker: tracker.log_text(name, text, step))


@rank_zero_only
def send_table(
    loggers: Iterable[Logger], name: str, columns: Sequence[str], rows: Sequence[Sequence[Any]], step: int
) -> None:
    """Send a table, as in :meth:`LoggerAdapter.log_table`."""
    _to_each(loggers, name, lambda tracker: tracker.log_table(name, columns, rows, step))


@rank_zero_only
def send_artifact(loggers: Iterable[Logger], file: Path, folder: str = "", *, to_folders: bool = True) -> None:
    """Send a file into a ``folder`` of each tracker that does not have it already, without waiting.

    Without ``to_folders``, trackers that keep their files in a folder get no copy.
    """

    def send(tracker: LoggerAdapter) -> None:
        if not tracker.has(file) and (to_folders or not tracker.is_shared):
            tracker.log_artifact(file, folder, wait=False)

    _to_each(loggers, file.name, send)


@rank_zero_only
def send_metrics(loggers: Iterable[Logger], metrics: Mapping[str, float], step: int) -> None:
    """Send metrics as in :meth:`LoggerAdapter.log_metrics`, also to loggers that take nothing else."""
    _to_each(loggers, ", ".join(metrics), lambda to: to.log_metrics(metrics, step), also_plain=True)


@rank_zero_only
def send_hyperparams(loggers: Iterable[Logger], params: Mapping[str, Any]) -> None:
    """Send hyperparameters as in :meth:`LoggerAdapter.log_hyperparams`, also to loggers that take nothing else."""
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
