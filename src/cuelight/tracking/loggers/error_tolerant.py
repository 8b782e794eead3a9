"""Loggers whose errors do not end a training."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import Logger

from cuelight.utils.redaction import reason_of, redacted_text

logger = logging.getLogger(__name__)

LOGGER_METHODS = ("log_metrics", "log_hyperparams", "log_graph", "save", "finalize", "after_save_checkpoint")


class NoExperimentError(AttributeError):
    """A logger cannot write. Lightning opens each logger that has an ``experiment``; this one has none."""


@contextmanager
def no_experiment_on_error(folder: str | Path) -> Iterator[None]:
    """Raise ``NoExperimentError`` for an ``OSError``, in the property ``experiment`` of a logger with a folder."""
    try:
        yield
    except OSError as error:
        raise NoExperimentError(redacted_text(f"{folder} cannot be written: {error.strerror}")) from error


def error_tolerant(one: Logger) -> Logger:
    """Make a logger log its errors as warnings instead of raising them, each message once."""
    said: set[str] = set()
    for name in LOGGER_METHODS:
        setattr(one, name, partial(_report, one, name, said))  # no closure: it must be picklable
    return one


def _report(one: Logger, name: str, said: set[str], *arguments: Any, **options: Any) -> Any:
    try:
        return getattr(type(one), name)(one, *arguments, **options)
    except Exception as error:  # noqa: BLE001 - a tracker may raise anything, and must not end the training
        reason = _reason(error)
        if reason not in said:
            said.add(reason)
            logger.warning("%s failed: %s.", type(one).__name__, reason.rstrip("."))


def _reason(error: BaseException) -> str:
    """Return why a logger failed: Lightning's raises another error then, with a text that differs each time."""
    cause = error
    while cause.__cause__ is not None and not isinstance(cause, NoExperimentError | OSError):
        cause = cause.__cause__
    return (
        str(cause)
        if isinstance(cause, NoExperimentError)
        else reason_of(cause if isinstance(cause, OSError) else error)
    )
