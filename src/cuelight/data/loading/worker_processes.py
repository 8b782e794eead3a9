"""The processes that load images, and what begins and ends with them."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from typing import Any

from torch.utils.data.dataloader import _MultiProcessingDataLoaderIter

_CAN_WAIT_FOR_SIGNALS = hasattr(signal, "sigwaitinfo")

# A worker that is not forked imports libraries first, and some start threads, which a signal to the worker would reach;
# and the parent of one of Python's fork server is that server.
START_METHOD = "fork" if _CAN_WAIT_FOR_SIGNALS else None
"""How workers start; ``None`` as Python does it."""


def leave_signals_to_main_process(_worker_id: int) -> None:
    """Keep a worker process running when a signal goes to the whole group, as Ctrl-C and many schedulers send it.

    The main process stops at a batch boundary, for which it may need more batches, and then ends its workers. A
    SIGTERM of the main process ends a worker at once: torch and multiprocessing end one that hangs in this way, and
    wait for it. Where the system does not tell who sent a signal (macOS), each SIGTERM ends it.

    Args:
        _worker_id: Number of the worker.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if _CAN_WAIT_FOR_SIGNALS:
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        threading.Thread(target=_end_when_the_main_process_says_so, daemon=True).start()


def _end_when_the_main_process_says_so() -> None:
    while signal.sigwaitinfo({signal.SIGTERM}).si_pid != os.getppid():
        pass
    os._exit(0)


def end_workers(batches: Iterator[Any]) -> None:
    """End the worker processes of a pass, if there are any.

    Torch does so itself once nothing refers to the iterator. But a traceback may, and so does Lightning, which keeps a
    record of the attributes of every loader in a process where one could not be made.

    Args:
        batches: The iterator of a data loader.
    """
    if isinstance(batches, _MultiProcessingDataLoaderIter):
        batches._shutdown_workers()  # noqa: SLF001 - there is no public name for it
