"""The checkpoint from which a training is resumed."""

from __future__ import annotations

import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.trainer.connectors import checkpoint_connector

from cuelight.errors import CheckpointError, CuelightError
from cuelight.utils.redaction import reason_of
from cuelight.utils.run_directory import LAST_CHECKPOINT
from cuelight.weights.reading import load_checkpoint


def latest_checkpoint(folder: Path) -> Path | None:
    """Return ``last.ckpt``, or else the checkpoint of the latest epoch; ``None`` if there is no checkpoint."""
    last = folder / LAST_CHECKPOINT
    if last.is_file():
        return last
    return max(sorted(folder.glob("*.ckpt")), key=epoch_of, default=None)


def epoch_of(checkpoint: Path) -> int:
    """Return the number of finished epochs when a checkpoint was saved."""
    return int(load_checkpoint(checkpoint, mmap=True).get("epoch", 0))


def step_of(checkpoint: Path) -> int:
    """Return the number of optimizer steps done; raises ``CheckpointError`` if the file has only weights."""
    return int(_resumable(checkpoint)["global_step"])


def logging_step(trainer: pl.Trainer) -> int:
    """Return the step under which Lightning logs now: it counts batches, ``global_step`` also several optimizers."""
    return trainer.fit_loop.epoch_loop._batches_that_stepped  # noqa: SLF001 - Lightning has no other name for it


def logging_step_of(checkpoint: Path) -> int:
    """Return the step at which Lightning logs the next batch; ``CheckpointError`` if the file has only weights.

    It counts batches. With manual optimization, a batch may have several optimizer steps or none.
    """
    return logging_step_in(_resumable(checkpoint))


def logging_step_in(content: Mapping[str, Any]) -> int:
    """Return the same from the content of a checkpoint; 0 if it has only weights."""
    steps, loop = int(content.get("global_step", 0)), content.get("loops", {}).get("fit_loop", {})
    batches = int(loop.get("epoch_loop.state_dict", {}).get("_batches_that_stepped", steps))
    if batches in (steps - 1, steps):
        return steps
    epoch = loop.get("epoch_progress", {}).get("current", {})
    within_epoch = epoch.get("processed", 0) < epoch.get("ready", 0)
    return batches + 1 if within_epoch else batches  # the batch is counted after the checkpoint was saved


@contextmanager
def restoring(checkpoint: Path | None) -> Iterator[None]:
    """Raise ``CheckpointError`` for any other error while Lightning restores a training from a checkpoint."""
    try:
        yield
    except CuelightError:
        raise
    except Exception as error:
        modules = {frame.f_globals.get("__name__") for frame, _ in traceback.walk_tb(error.__traceback__)}
        if checkpoint is None or checkpoint_connector.__name__ not in modules:
            raise
        raise CheckpointError(
            f"{checkpoint}: the training cannot be restored from this checkpoint: {reason_of(error)}. Resume from "
            "another one: cuelight train --resume CHECKPOINT."
        ) from error


def _resumable(checkpoint: Path) -> dict[str, Any]:
    content = load_checkpoint(checkpoint, mmap=True)
    if "optimizer_states" not in content or "global_step" not in content:
        raise CheckpointError(
            f"{checkpoint}: this file contains only weights, so a training cannot resume from it. Expected a full "
            f"checkpoint, such as {LAST_CHECKPOINT}."
        )
    return content
