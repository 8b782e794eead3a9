"""The question that every callback answers before a training: what cannot work together, or not as intended?"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import takewhile
from typing import Protocol, runtime_checkable

import lightning.pytorch as pl

from cuelight.config import Config
from cuelight.errors import ConfigError, ConfigWarning, Problem


@runtime_checkable
class ChecksItself(Protocol):
    """A callback that knows what it cannot work with."""

    def check(self, config: Config | None, callbacks: Sequence[pl.Callback]) -> Iterable[Problem | ConfigWarning]:
        """Find what cannot work, or works perhaps not as intended. Nothing is read or made.

        Args:
            config: The configuration of the run; ``None`` in a Trainer of one's own.
            callbacks: All callbacks, this one among them, in order.

        Returns:
            Problems and warnings. Their paths begin at the callback's own entry, such as ``params.monitor``.
        """
        ...


def check_callback(
    callback: pl.Callback, config: Config | None, callbacks: Sequence[pl.Callback], path: str = ""
) -> Iterator[Problem | ConfigWarning]:
    """Ask one callback.

    Args:
        callback: The callback.
        config: The configuration of the run; ``None`` in a Trainer of one's own.
        callbacks: All callbacks, in order.
        path: The key path of the callback.

    Yields:
        Problems and warnings with the path of their keys.
    """
    if isinstance(callback, ChecksItself):
        for found in callback.check(config, callbacks):
            yield replace(found, path=".".join(part for part in (path, found.path) if part))


def require_no_problem(callback: pl.Callback, trainer: pl.Trainer) -> None:
    """Ask one callback in ``setup``, where there may be no configuration.

    Args:
        callback: The callback.
        trainer: Its trainer.

    Raises:
        ConfigError: If it cannot work with the other callbacks of the trainer.
    """
    callbacks: list[pl.Callback] = trainer.callbacks  # type: ignore[attr-defined]  # Lightning declares it nowhere
    found = check_callback(callback, None, callbacks)
    if problems := [problem for problem in found if isinstance(problem, Problem)]:
        raise ConfigError(problems)


def no_tracker(callback: pl.Callback, config: Config) -> Iterator[Problem]:
    """Find out whether a callback that only logs has a tracker to log to."""
    tracker = config.tracker
    if not (tracker.senders or tracker.tensorboard or tracker.csv):
        yield Problem(
            f"{type(callback).__name__} needs a tracker, and all trackers are off. Turn one on under tracker, or "
            "set active: false."
        )


def others_before(callback: pl.Callback, callbacks: Sequence[pl.Callback]) -> list[pl.Callback]:
    """Return the callbacks that stand before one."""
    return list(takewhile(lambda other: other is not callback, callbacks))
