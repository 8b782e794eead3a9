"""Loggers that a module can use while it is measured, but that take no metrics and are not closed."""

from __future__ import annotations

from typing import Any

from lightning.pytorch.loggers import Logger


def silenced(logger: Logger) -> Logger:
    """Make a logger that shares the experiment of another one.

    Args:
        logger: The logger of a trainer.

    Returns:
        One of the same class. What a module draws into its ``experiment`` arrives; metrics, hyperparameters and the
        end of the evaluation do not, because the training is not over by them.
    """
    shared = object.__new__(type(logger))
    vars(shared).update(vars(logger))  # copy.copy leaves the experiment out, and a new one would start the curves anew
    for method in ("log_metrics", "log_hyperparams", "log_graph", "save", "finalize", "after_save_checkpoint"):
        setattr(shared, method, _ignore)
    return shared


def _ignore(*_: Any, **__: Any) -> None:
    pass
