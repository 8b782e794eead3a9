"""Lightning's LearningRateMonitor, which needs a tracker."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import lightning.pytorch as pl
from lightning.pytorch import callbacks

from cuelight.callbacks.base.check import no_tracker
from cuelight.config import Config
from cuelight.errors import Problem


class LearningRateMonitor(callbacks.LearningRateMonitor):
    """Logs the learning rate of each optimizer.

    Args:
        logging_interval: When to log: after each step or each epoch; as often as the scheduler steps if left out.
        log_momentum: Whether to log the momentum of the optimizer too.
        log_weight_decay: Whether to log its weight decay too.
    """

    def check(self, config: Config | None, callbacks: Sequence[pl.Callback]) -> Iterator[Problem]:
        """Find out whether there is a tracker to log to."""
        if config is not None:
            yield from no_tracker(self, config)
