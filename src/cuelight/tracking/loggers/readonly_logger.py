"""Loggers that a module can use while it is measured, but that take no metrics and are not closed."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from typing import Any

from lightning.pytorch.loggers import Logger

from cuelight.tracking.outbox.time_limit import run_with_timeout
from cuelight.utils.redaction import reason_of

logger = logging.getLogger(__name__)

_OPEN_LIMIT = 20.0  # seconds


def readonly_if_open(loggers: Sequence[Logger], limit: float = _OPEN_LIMIT) -> Iterator[Logger]:
    """Silence the loggers that can be used now.

    A trainer opens the experiment of each of its loggers, waits for it, and fails with it.

    Args:
        loggers: The loggers of a training; those of one that was opened again may not have begun.
        limit: For how many seconds to wait for each.

    Yields:
        Each as by ``readonly_logger``; one whose tracker does not answer is left out, and that is said.
    """
    yield from (readonly_logger(one) for one in loggers if _is_open(one, limit))


def _is_open(one: Logger, limit: float) -> bool:
    try:
        run_with_timeout(limit, lambda: getattr(one, "experiment", None))
    except Exception as error:  # noqa: BLE001 - a tracker may fail in any way, and nothing that is measured depends on it
        reason = reason_of(error).rstrip(".")
        logger.warning("%s cannot be used: %s. The measurement goes on without it.", type(one).__name__, reason)
        return False
    return True


def readonly_logger(one: Logger) -> Logger:
    """Make a logger that shares the experiment of another one.

    Args:
        one: The logger of a trainer.

    Returns:
        One of the same class. What a module draws into its ``experiment`` arrives; metrics, hyperparameters and the
        end of the evaluation do not, because the training is not over by them.
    """
    shared = object.__new__(type(one))
    vars(shared).update(vars(one))  # copy.copy leaves the experiment out, and a new one would start the curves anew
    for method in ("log_metrics", "log_hyperparams", "log_graph", "save", "finalize", "after_save_checkpoint"):
        setattr(shared, method, _ignore)
    return shared


def _ignore(*_: Any, **__: Any) -> None:
    pass
