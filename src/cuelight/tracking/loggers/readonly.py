"""Loggers for an evaluation: a module can draw with them, but they take no metrics and are not closed."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from operator import attrgetter

from lightning.pytorch.loggers import Logger

from cuelight.tracking.loggers.error_tolerant import LOGGER_METHODS
from cuelight.tracking.outbox.time_limit import run_with_timeout
from cuelight.utils.redaction import reason_of
from cuelight.utils.wrap_method import wrap_method

logger = logging.getLogger(__name__)

_OPEN_LIMIT = 20.0  # seconds


@contextmanager
def readonly(loggers: Sequence[Logger]) -> Iterator[None]:
    """Let loggers ignore metrics, hyperparameters and the end of an evaluation: the training is not over by them.

    What a module draws into their ``experiment`` arrives.
    """
    with ExitStack() as undo:
        for one in loggers:
            for method in LOGGER_METHODS:
                undo.callback(wrap_method(one, method, lambda *_, **__: None))
        yield


def open_loggers(loggers: Sequence[Logger], limit: float = _OPEN_LIMIT) -> list[Logger]:
    """Return the loggers whose trackers answer within ``limit`` seconds; the others are named in a warning.

    A trainer would open the experiment of each of its loggers, wait for it, and fail with it.
    """
    return [one for one in loggers if _is_open(one, limit)]


def _is_open(one: Logger, limit: float) -> bool:
    try:
        if hasattr(type(one), "experiment"):
            run_with_timeout(limit, lambda: attrgetter("experiment")(one))
    except Exception as error:  # noqa: BLE001 - a tracker may raise anything, and must not end the evaluation
        reason = reason_of(error).rstrip(".")
        logger.warning("%s cannot be used: %s. The evaluation continues without it.", type(one).__name__, reason)
        return False
    return True
