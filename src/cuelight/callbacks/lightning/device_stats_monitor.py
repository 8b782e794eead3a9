"""Lightning's DeviceStatsMonitor, which needs a tracker."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import lightning.pytorch as pl
from lightning.pytorch import callbacks

from cuelight.callbacks.base.check import no_tracker
from cuelight.config import Config
from cuelight.errors import Problem


class DeviceStatsMonitor(callbacks.DeviceStatsMonitor):
    """Logs memory and load of the device that trains.

    Args:
        cpu_stats: Whether to log the load of the CPU too; only where it trains if left out.
    """

    def check(self, config: Config | None, callbacks: Sequence[pl.Callback]) -> Iterator[Problem]:
        """Find out whether there is a tracker to log to."""
        if config is not None:
            yield from no_tracker(self, config)
