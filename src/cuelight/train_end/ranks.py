"""Work that one process does for all."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any, TypeVar

import torch

Result = TypeVar("Result")

# The others wait in a group of their own: an export may take longer than a collective of the training may.
_LONGEST_WAIT = timedelta(days=7)


def on_first_rank(work: Callable[[], Result]) -> Result:
    """Do something in the first process of a distributed training, while the others wait.

    Args:
        work: What to do; it should not raise.

    Returns:
        What it returned, in every process.
    """
    if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
        return work()
    group: Any = torch.distributed.new_group(backend="gloo", timeout=_LONGEST_WAIT)
    result: list[Any] = [None]
    try:
        if torch.distributed.get_rank() == 0:
            result[0] = work()
    finally:  # whatever happened, the others must not wait
        torch.distributed.broadcast_object_list(result, src=0, group=group)
        torch.distributed.destroy_process_group(group)
    done: Result = result[0]
    return done
