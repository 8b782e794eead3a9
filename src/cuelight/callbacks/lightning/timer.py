"""Limit the time of a training."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Literal

import lightning.pytorch as pl
from lightning.pytorch import callbacks

from cuelight.config import Config
from cuelight.config.durations import read_duration
from cuelight.errors import Problem


class Timer(callbacks.Timer):
    """Stops training after a time; the time before a resume counts.

    Args:
        duration: Time to train: "90m", "1h30m", "DD:HH:MM:SS" or {hours: 12}; without one, time is only measured.
        interval: Whether training may stop after any step, or only after a whole epoch.
        verbose: Whether to report when the time is over.

    Raises:
        ValueError: If ``duration`` is not a duration.
    """

    def __init__(
        self,
        duration: str | dict[str, float] | timedelta | None = None,
        interval: Literal["step", "epoch"] = "step",
        verbose: bool = True,
    ) -> None:
        super().__init__(
            duration=None if duration is None else read_duration(duration), interval=interval, verbose=verbose
        )

    def check(self, config: Config | None, callbacks: Sequence[pl.Callback]) -> Iterator[Problem]:
        """Find a second limit: ``trainer.max_time``."""
        if self._duration is not None and config is not None and config.trainer.max_time is not None:
            yield Problem("Timer and trainer.max_time both limit the training time. Remove one of them.")
