"""Work that the first process of a distributed training does for all."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any, TypeVar

import torch

Result = TypeVar("Result")

# An export may take longer than the timeout of the training's process group.
_LONGEST_WAIT = timedelta(days=7)


def on_first_rank(work: Callable[[], Result]) -> Result:
    """Call ``work`` on rank 0 while the others wait, and return its result on every rank. It should not raise."""
    if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
        return work()
    group: Any = torch.distributed.new_group(backend="gloo", timeout=_LONGEST_WAIT)
    result: list[Any] = [None]
    try:
        if torch.distributed.get_rank() == 0:
            result[0] = work()
    finally:  # also after an exception, or the others would wait forever
        torch.distributed.broadcast_object_list(result, src=0, group=group)
        torch.distributed.destroy_process_group(group)
    done: Result = result[0]
    return done
