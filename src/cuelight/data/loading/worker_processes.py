"""Start and end of the processes that load images."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from typing import Any

_CAN_WAIT_FOR_SIGNALS = hasattr(signal, "sigwaitinfo")

# A worker that is not forked imports libraries whose threads may receive its signals; and the parent of one from
# Python's fork server is that server.
START_METHOD = "fork" if _CAN_WAIT_FOR_SIGNALS else None
"""How workers start; ``None`` is the default of Python."""


def leave_signals_to_main_process(_worker_id: int) -> None:
    """Keep a worker running when a signal goes to the whole process group, as by Ctrl-C and many schedulers.

    The main process stops at a batch boundary, for which it may need more batches, and then ends its workers. A SIGTERM
    from the main process still ends a worker at once: torch and multiprocessing end a hanging worker like this, and
    wait for it. Where the system does not report the sender of a signal (macOS), every SIGTERM ends the worker.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if _CAN_WAIT_FOR_SIGNALS:
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        threading.Thread(target=_end_on_sigterm_of_main_process, daemon=True).start()


def _end_on_sigterm_of_main_process() -> None:
    while signal.sigwaitinfo({signal.SIGTERM}).si_pid != os.getppid():
        pass
    os._exit(0)


def end_workers(batches: Iterator[Any]) -> None:
    """End the worker processes of a data loader's iterator, if it has any.

    Torch does this when nothing refers to the iterator any more. But a traceback may, and so may Lightning: it records
    the attributes of every loader once one could not be created.
    """
    if end := getattr(batches, "_shutdown_workers", None):  # there is no public name for it
        end()
