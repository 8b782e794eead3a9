"""The checkpoint from which a training goes on."""

from __future__ import annotations

from pathlib import Path

from cuelight.errors import CheckpointError
from cuelight.weights.checkpoint_io import load_checkpoint

LAST_CHECKPOINT = "last.ckpt"


def latest_checkpoint(folder: Path) -> Path | None:
    """Choose the checkpoint that holds most of a training.

    Args:
        folder: The checkpoint folder of a run.

    Returns:
        ``last.ckpt``; where it is missing, the one of the latest epoch; ``None`` where there is none.

    Raises:
        CheckpointError: If a file cannot be read.
    """
    last = folder / LAST_CHECKPOINT
    if last.is_file():
        return last
    return max(sorted(folder.glob("*.ckpt")), key=epoch_of, default=None)


def epoch_of(checkpoint: Path) -> int:
    """Return in which epoch a checkpoint was saved.

    Args:
        checkpoint: The file.

    Returns:
        The number of epochs that were finished before.

    Raises:
        CheckpointError: If the file cannot be read.
    """
    return int(load_checkpoint(checkpoint, mmap=True).get("epoch", 0))


def step_of(checkpoint: Path) -> int:
    """Return at which step a training goes on.

    Args:
        checkpoint: The file.

    Returns:
        The number of optimizer steps that were done.

    Raises:
        CheckpointError: If the file holds weights alone.
    """
    content = load_checkpoint(checkpoint, mmap=True)
    if "optimizer_states" not in content or "global_step" not in content:
        raise CheckpointError(
            f"{checkpoint}: this file holds weights alone, so a training cannot go on from it. Expected a whole "
            f"checkpoint, such as {LAST_CHECKPOINT}."
        )
    return int(content["global_step"])
