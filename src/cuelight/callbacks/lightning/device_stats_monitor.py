"""Lightning's DeviceStatsMonitor, which needs a tracker."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import lightning.pytorch as pl
from lightning.pytorch import callbacks

from cuelight.callbacks.base.check import no_tracker
from cuelight.config import Config
from cuelight.errors import Problem


class DeviceStatsMonitor(callbacks.DeviceStatsMonitor):
    """Logs memory and load of the training device.

    Args:
        cpu_stats: Whether to log the CPU load too; if left out, only in a training on the CPU.
    """

    def check(self, config: Config | None, callbacks: Sequence[pl.Callback]) -> Iterator[Problem]:
        """Find out whether there is a tracker to log to."""
        if config is not None:
            yield from no_tracker(self, config)
