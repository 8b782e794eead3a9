"""What became of a training: ``training.json`` in the run directory, for whoever looks at the run from outside."""

from __future__ import annotations

import logging
import os
import signal
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import psutil
from lightning.pytorch.callbacks import ModelCheckpoint

from cuelight.ending import why_it_ended
from cuelight.errors import TrainingInterrupted
from cuelight.files import relative_to_run, write_json
from cuelight.plan import PlannedCallback
from cuelight.redaction import redacted_text
from cuelight.run_directory import TRAINING_FILE, is_first_process
from cuelight.weights.best import choose, kept_by

logger = logging.getLogger(__name__)


@contextmanager
def recorded_training(
    directory: Path, trainer: pl.Trainer, planned: Sequence[PlannedCallback], main_metric: str | None
) -> Iterator[None]:
    """Record that a training runs, and then how it ended. Nothing that goes wrong with the record ends a training.

    Args:
        directory: The run directory.
        trainer: The trainer of the training that runs within.
        planned: All callbacks in their order.
        main_metric: The name of the metric by which the best checkpoint is chosen first.

    Yields:
        Nothing.
    """
    entry = {
        "status": "running",
        "reason": "",
        "began": _now(),
        "ended": None,
        "process": {"host": socket.gethostname(), "pid": os.getpid(), "created": psutil.Process().create_time()},
        "callbacks": [{"name": callback.name, "origin": callback.origin} for callback in planned],
    }
    _write(directory, entry)
    try:
        yield
    except TrainingInterrupted as error:
        reason = f"stopped by {signal.Signals(error.signal_number).name}"
        _write(directory, entry | _ending(directory, trainer, main_metric, "interrupted", reason))
        raise
    except BaseException as error:
        reason = redacted_text(" ".join(f"{type(error).__name__}: {error}".split()))
        status = "failed" if isinstance(error, Exception) else "interrupted"
        _write(directory, entry | _ending(directory, trainer, main_metric, status, reason))
        raise
    _write(directory, entry | _ending(directory, trainer, main_metric, "complete", why_it_ended(trainer) or ""))


def _ending(directory: Path, trainer: pl.Trainer, main_metric: str | None, status: str, reason: str) -> dict[str, Any]:
    kept = kept_by([callback for callback in trainer.checkpoint_callbacks if isinstance(callback, ModelCheckpoint)])
    chosen = choose(kept, main_metric=main_metric)
    return {
        "status": status,
        "reason": reason,
        "ended": _now(),
        "epochs": trainer.current_epoch,
        "steps": trainer.global_step,
        "best": [
            asdict(best) | {"path": relative_to_run(best.path, directory)}
            for best in sorted(kept, key=lambda best: best is not chosen)  # the one that counts comes first
        ],
    }


def _now() -> str:
    return datetime.now().astimezone().isoformat(timespec="seconds")


def _write(directory: Path, entry: dict[str, Any]) -> None:
    if not is_first_process():
        return
    try:
        write_json(directory / TRAINING_FILE, entry)
    except OSError as error:
        logger.warning("%s cannot be written: %s.", directory / TRAINING_FILE, error.strerror)
