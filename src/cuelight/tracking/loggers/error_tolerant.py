"""A logger whose errors do not end a training."""

from __future__ import annotations

import logging
from functools import partial
from typing import Any

from lightning.pytorch.loggers import Logger

from cuelight.utils.redaction import reason_of

logger = logging.getLogger(__name__)

_METHODS = ("log_metrics", "log_hyperparams", "log_graph", "save", "finalize", "after_save_checkpoint")


def error_tolerant(one: Logger) -> Logger:
    """Let a logger report its errors instead of raising them, each kind once."""
    said: set[str] = set()
    for name in _METHODS:
        setattr(one, name, partial(_report, one, name, said))  # no closure: a strategy may send it to another process
    return one


def _report(one: Logger, name: str, said: set[str], *arguments: Any, **options: Any) -> Any:
    try:
        return getattr(type(one), name)(one, *arguments, **options)
    except Exception as error:  # noqa: BLE001 - a tracker may fail in any way, and a training goes on without it
        reason = reason_of(error)
        if reason not in said:
            said.add(reason)
            logger.warning("%s failed: %s. The training goes on.", type(one).__name__, reason)
