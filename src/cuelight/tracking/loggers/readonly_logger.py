"""Loggers for an evaluation: a module can draw with them, but they take no metrics and are not closed."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from typing import Any

from lightning.pytorch.loggers import Logger

from cuelight.tracking.loggers.error_tolerant import LOGGER_METHODS
from cuelight.tracking.outbox.time_limit import run_with_timeout
from cuelight.utils.redaction import reason_of

logger = logging.getLogger(__name__)

_OPEN_LIMIT = 20.0  # seconds


def readonly_if_open(loggers: Sequence[Logger], limit: float = _OPEN_LIMIT) -> Iterator[Logger]:
    """Yield read-only versions of the loggers that can be used now; for others a warning is logged.

    Without this, a trainer would open the experiment of each of its loggers, wait for it, and fail with it. ``limit``
    is in seconds for each logger.
    """
    yield from (readonly_logger(one) for one in loggers if _is_open(one, limit))


def _is_open(one: Logger, limit: float) -> bool:
    try:
        run_with_timeout(limit, lambda: getattr(one, "experiment", None))
    except Exception as error:  # noqa: BLE001 - a tracker may raise anything, and must not end the evaluation
        reason = reason_of(error).rstrip(".")
        logger.warning("%s cannot be used: %s. The measurement goes on without it.", type(one).__name__, reason)
        return False
    return True


def readonly_logger(one: Logger) -> Logger:
    """Return a logger of the same class that shares the experiment of another one.

    What a module draws into its ``experiment`` arrives. Metrics, hyperparameters and the end of the evaluation do
    not, because the training continues.
    """
    shared = object.__new__(type(one))
    vars(shared).update(vars(one))  # copy.copy drops the experiment
    for method in LOGGER_METHODS:
        setattr(shared, method, _ignore)
    return shared


def _ignore(*_: Any, **__: Any) -> None:
    pass
