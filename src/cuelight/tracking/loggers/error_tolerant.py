"""Loggers whose errors do not end a training."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from lightning.pytorch.loggers import Logger

from cuelight.utils.redaction import reason_of

logger = logging.getLogger(__name__)

LOGGER_METHODS = ("log_metrics", "log_hyperparams", "log_graph", "save", "finalize", "after_save_checkpoint")


class NoExperimentError(AttributeError):
    """A logger cannot write. Lightning opens each logger that has an ``experiment``; this one has none."""


@contextmanager
def no_experiment_on_error() -> Iterator[None]:
    """Raise ``NoExperimentError`` instead of an ``OSError``, in the property ``experiment`` of a logger."""
    try:
        yield
    except OSError as error:
        raise NoExperimentError(reason_of(error)) from error


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
        reason = str(error) if isinstance(error, NoExperimentError) else reason_of(error)
        if reason not in said:
            said.add(reason)
            logger.warning("%s failed: %s. Training continues.", type(one).__name__, reason)
