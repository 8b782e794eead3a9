"""Threads that never keep a process alive."""

from __future__ import annotations

import concurrent.futures.thread as executors
import threading
from collections.abc import Callable
from functools import cache
from typing import Any


def daemon(run: Callable[[], None], name: str | None = None) -> threading.Thread:
    """Return a thread, not started yet, that the end of the process does not wait for, nor for its executors.

    Python waits at its end for every thread of a ``ThreadPoolExecutor``, also if a daemon thread has started it. boto3
    uses one to upload what MLflow keeps on S3: a server that hangs would hold the process for minutes.
    """
    _let_process_end()
    return threading.Thread(target=run, name=name, daemon=True)


@cache
def _let_process_end() -> None:
    # Python calls these in reverse order: this one before that of the executors, which waits.
    threading._register_atexit(_leave_daemons_of_executors)  # type: ignore[attr-defined]  # noqa: SLF001


def _leave_daemons_of_executors() -> None:
    """Have Python forget the threads of executors that are daemons, which they are where a daemon has started them."""
    with executors._global_shutdown_lock:  # noqa: SLF001 - there is no public way to any of these
        executors._shutdown = True  # noqa: SLF001 - as Python does next: no thread begins in between
        threads: Any = executors._threads_queues  # noqa: SLF001
        for thread in list(threads):
            if thread.daemon:
                threads.pop(thread, None)
