"""``training.json``: the status of a training, for other processes and the report."""

from __future__ import annotations

import logging
import shlex
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint, Timer
from lightning.pytorch.callbacks.early_stopping import EarlyStoppingReason

from cuelight.callbacks.added.cut_epoch import is_cut
from cuelight.callbacks.added.stop_after_steps import StopAfterSteps
from cuelight.config import Config
from cuelight.errors import CheckpointError, TrainingInterrupted
from cuelight.runs.plan import PlannedCallback
from cuelight.utils.environment import with_references
from cuelight.utils.files import relative_to_run, short_path, write_json, write_text
from cuelight.utils.redaction import reason_of
from cuelight.utils.run_directory import (
    CHECKPOINT_FOLDER,
    CONFIG_FILE,
    LAST_CHECKPOINT,
    TRAINING_FILE,
    is_first_process,
    own_process,
)
from cuelight.utils.trainer_callbacks import callbacks_of
from cuelight.weights.best import best_checkpoint, from_callbacks

logger = logging.getLogger(__name__)


@contextmanager
def recorded_training(
    directory: Path, trainer: pl.Trainer, planned: Sequence[PlannedCallback], main_metric: str | None
) -> Iterator[None]:
    """Record that a training runs, and then how it ended. An error in the record is only logged."""
    callbacks = [{"name": callback.name, "origin": callback.origin} for callback in planned]
    entry = {"status": "running", "reason": "", "began": _now(), "ended": None, "callbacks": callbacks}
    entry = _record(directory, entry, lambda: {"process": own_process()})

    def record_end(status: str, reason: Callable[[], str]) -> None:
        ended = entry | {"status": status, "ended": _now()}
        _record(
            directory,
            ended,
            lambda: {"reason": reason()},
            lambda: {"epochs": _last_epoch(trainer) if status == "complete" else trainer.current_epoch},
            lambda: {"steps": trainer.global_step},
            lambda: _best(directory, trainer, main_metric),
        )

    try:
        yield
    except TrainingInterrupted as error:
        number = error.signal_number
        record_end("interrupted", lambda: f"stopped by {signal.Signals(number).name}")
        raise
    except BaseException as error:
        record_end("failed" if isinstance(error, Exception) else "interrupted", partial(reason_of, error))
        raise
    record_end("complete", lambda: why_it_ended(trainer) or "")


@contextmanager
def lasting_directory(directory: Path, trainer: pl.Trainer, config: Config) -> Iterator[None]:
    """If the run directory is deleted during the training, write the configuration and the last checkpoint again.

    Raises:
        CheckpointError: At the end of a training whose directory was deleted.
    """
    try:
        yield
    except BaseException:
        if _is_lost(directory):
            with _log_errors("%s cannot be written: %s.", directory / CONFIG_FILE):
                logger.warning("%s", _restored(directory, config))
        raise
    if _is_lost(directory):
        last = directory / CHECKPOINT_FOLDER / LAST_CHECKPOINT
        if not last.exists() and trainer.world_size == 1:  # several processes would have to save together
            trainer.save_checkpoint(last)
        path = shlex.quote(short_path(last))
        raise CheckpointError(f"{_restored(directory, config)} To export the last weights: cuelight export {path}")


def _is_lost(directory: Path) -> bool:
    return is_first_process() and not (directory / CONFIG_FILE).exists()


def _restored(directory: Path, config: Config) -> str:
    """Write the configuration, which later commands need, and return what happened."""
    write_text(directory / CONFIG_FILE, config.to_yaml())
    checkpoints = any((directory / CHECKPOINT_FOLDER).glob("*.ckpt"))
    kept = "The configuration and the last checkpoint are" if checkpoints else "Only the configuration is"
    return (
        f"{directory}: the run directory was deleted or emptied during the training. {kept} written again; earlier "
        "files, such as the best checkpoint, may be lost."
    )


def why_it_ended(trainer: pl.Trainer) -> str | None:
    """Return a sentence about what ended a training early; ``None`` if all epochs were trained."""
    if trainer.max_epochs is not None and 0 <= trainer.max_epochs <= trainer.current_epoch and not is_cut(trainer):
        return None
    for callback in callbacks_of(trainer):
        if isinstance(callback, StopAfterSteps) and trainer.global_step >= callback.max_steps:
            return f"trainer.max_steps: {callback.max_steps} ended the training in epoch {_last_epoch(trainer)}."
        if isinstance(callback, EarlyStopping) and callback.stopping_reason in _EARLY_REASONS:
            reason = _EARLY_REASONS[callback.stopping_reason].format(callback)
            return (
                f"EarlyStopping ended the training in epoch {callback.stopped_epoch + 1}: {callback.monitor} {reason}."
            )
        remaining = callback.time_remaining() if isinstance(callback, Timer) else None
        if remaining is not None and remaining <= 0:
            return f"The time limit ended the training in epoch {_last_epoch(trainer)}."
    return None


def _last_epoch(trainer: pl.Trainer) -> int:
    """Return the last epoch that was begun, counted from 1; it may have been begun before a resume."""
    return trainer.fit_loop.epoch_progress.current.ready


_EARLY_REASONS = {
    EarlyStoppingReason.NON_FINITE_METRIC: "is NaN or infinite",
    EarlyStoppingReason.STOPPING_THRESHOLD: "reached the stopping_threshold of {0.stopping_threshold:g}",
    EarlyStoppingReason.DIVERGENCE_THRESHOLD: "crossed the divergence_threshold of {0.divergence_threshold:g}",
    EarlyStoppingReason.PATIENCE_EXHAUSTED: "did not improve in {0.patience} checks",
}


def _best(directory: Path, trainer: pl.Trainer, main_metric: str | None) -> dict[str, Any]:
    kept = from_callbacks(
        [callback for callback in trainer.checkpoint_callbacks if isinstance(callback, ModelCheckpoint)]
    )
    chosen = best_checkpoint(kept, main_metric=main_metric)
    return {
        "best": [
            asdict(best) | {"path": with_references(relative_to_run(best.path, directory))}
            for best in sorted(kept, key=lambda best: best is not chosen)
            if best.monitor  # the best comes first
        ]
    }


def _now() -> str:
    return datetime.now().astimezone().isoformat(timespec="seconds")


def _record(directory: Path, entry: dict[str, Any], *find: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Write the entry with what can be found out; errors are logged."""
    if not is_first_process():
        return entry
    for one in find:
        with _log_errors("%s is incomplete: %s.", directory / TRAINING_FILE):
            entry |= one()
    with _log_errors("%s cannot be written: %s.", directory / TRAINING_FILE):
        write_json(directory / TRAINING_FILE, entry)
    return entry


@contextmanager
def _log_errors(message: str, file: Path) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # noqa: BLE001 - no error in the record may end the training
        logger.warning(message, file, reason_of(error).rstrip("."))
