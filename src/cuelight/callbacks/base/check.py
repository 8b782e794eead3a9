"""Checks of a callback before the training: conflicts with the configuration and with other callbacks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import takewhile
from typing import Protocol, runtime_checkable

import lightning.pytorch as pl

from cuelight.config import Config
from cuelight.errors import ConfigWarning, CuelightError, Problem
from cuelight.utils.trainer_callbacks import callbacks_of


@runtime_checkable
class ChecksItself(Protocol):
    """A callback that finds its own conflicts."""

    def check(self, config: Config | None, callbacks: Sequence[pl.Callback]) -> Iterable[Problem | ConfigWarning]:
        """Find what cannot work, or may not work as intended. Reads and writes nothing.

        Args:
            config: The configuration of the run; ``None`` in a Trainer of your own.
            callbacks: All callbacks in order, including this one.

        Returns:
            Problems and warnings, with paths relative to the callback's entry, such as ``params.monitor``.
        """
        ...


@runtime_checkable
class ChecksModel(Protocol):
    """A callback that finds out whether a model has what it needs."""

    def check_model(self, module: pl.LightningModule, class_names: Sequence[str] | None) -> Iterable[Problem]:
        """Find what the model lacks, with paths as in :class:`ChecksItself`; its tensors may be on ``meta``."""


def check_callback(
    callback: pl.Callback, config: Config | None, callbacks: Sequence[pl.Callback], path: str = ""
) -> Iterator[Problem | ConfigWarning]:
    """Run the check of one callback, if it has one; ``path`` is its key path, put before the paths of the results."""
    if not isinstance(callback, ChecksItself):
        return
    try:
        found = [
            one._replace(path=".".join(filter(None, (path, one.path)))) for one in callback.check(config, callbacks)
        ]
    except CuelightError:
        raise
    except Exception as error:  # noqa: BLE001 - a method of anyone's
        reason = f"{type(error).__name__}: {error}"
        expected = "Expected a list of Problem and ConfigWarning, or a generator of them."
        yield Problem(f"{type(callback).__name__}.check(config, callbacks) failed with {reason}. {expected}", path)
    else:
        yield from found


def require_no_problem(callback: pl.Callback, trainer: pl.Trainer) -> None:
    """Check one callback in ``setup``, without a configuration; warnings are ignored.

    Raises:
        CuelightError: If it cannot work with the other callbacks of the trainer.
    """
    callbacks = callbacks_of(trainer)
    found = check_callback(callback, None, callbacks)
    if problems := [problem.message for problem in found if isinstance(problem, Problem)]:
        raise CuelightError("\n".join(problems))


def no_tracker(callback: pl.Callback, config: Config) -> Iterator[Problem]:
    """Yield a problem if a callback that only logs has no tracker."""
    tracker = config.tracker
    if not (tracker.senders or tracker.tensorboard or tracker.csv):
        yield Problem(
            f"{type(callback).__name__} needs a tracker, and all trackers are off. Turn one on under tracker, or "
            "set active: false."
        )


def others_before(callback: pl.Callback, callbacks: Sequence[pl.Callback]) -> list[pl.Callback]:
    """Return the callbacks that come before one in the list."""
    return list(takewhile(lambda other: other is not callback, callbacks))
