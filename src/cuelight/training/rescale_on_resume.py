"""Schedules of a training that is resumed with another length."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Mapping
from typing import Any

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

logger = logging.getLogger(__name__)

_PARTS_OF_SEQUENCE = "_schedulers"


def rescale_on_resume(schedule: LRScheduler, optimizer: Optimizer, parameter: str) -> None:
    """Let a schedule keep its own length when it loads the state of a shorter or longer one.

    torch's schedulers would take over the length with the state: ``OneCycleLR`` then fails at the first step after its
    old end, and ``CosineAnnealingLR`` rises again. Here the schedule goes to the same step of its own length instead.
    Where the lengths are equal, the state is loaded as it is, to the last bit.

    ``schedule`` has not been stepped yet. ``parameter`` is the name of its length, such as ``total_steps``; in a
    ``SequentialLR`` that of the last part.
    """
    kind = type(schedule)
    at_start = [{key: value for key, value in group.items() if key != "params"} for group in optimizer.param_groups]
    own = _length(schedule.state_dict(), parameter)

    def load_state_dict(self: LRScheduler, state_dict: Mapping[str, Any]) -> None:
        saved = _length(state_dict, parameter)
        if saved in (own, None):
            kind.load_state_dict(self, dict(state_dict))
            return
        logger.warning("Learning rate schedule: %s changes from %s to %s on resume.", parameter, saved, own)
        for group, values in zip(optimizer.param_groups, at_start, strict=True):
            group.update(values)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*lr_scheduler.step.*before.*optimizer.step.*")
            for _ in range(state_dict["last_epoch"]):
                self.step()

    # A subclass, because torch saves every attribute of the object with the state.
    schedule.__class__ = type(kind.__name__, (kind,), {"load_state_dict": load_state_dict})


def _length(state: Mapping[str, Any], parameter: str) -> Any:
    parts = state.get(_PARTS_OF_SEQUENCE)
    return (parts[-1] if parts else state).get(parameter)
