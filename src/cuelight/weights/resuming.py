"""The checkpoint from which a training goes on."""

from __future__ import annotations

import logging
from pathlib import Path

from cuelight.errors import CheckpointError
from cuelight.weights.checkpoint_io import load_checkpoint

logger = logging.getLogger(__name__)

LAST_CHECKPOINT = "last.ckpt"


def latest_checkpoint(folder: Path) -> Path | None:
    """Choose the checkpoint to go on from.

    Args:
        folder: The checkpoint folder of a run.

    Returns:
        ``last.ckpt``; where it is missing, the one of the latest epoch; ``None`` where beginning again loses nothing
        but a part of the first epoch.

    Raises:
        CheckpointError: If a file cannot be read.
    """
    last = folder / LAST_CHECKPOINT
    if last.is_file():
        return last
    epochs = {path: load_checkpoint(path).get("epoch", 0) for path in sorted(folder.glob("*.ckpt"))}
    latest = max(epochs, key=lambda path: epochs[path], default=None)
    if latest is None or epochs[latest] == 0:
        logger.warning("%s does not exist: the training starts from its beginning.", last)
        return None
    logger.warning("%s does not exist: the training goes on from %s.", last, latest.name)
    return latest


def step_of(checkpoint: Path) -> int:
    """Tell at which step a training goes on.

    Args:
        checkpoint: The file.

    Returns:
        The number of optimizer steps that were done.

    Raises:
        CheckpointError: If the file holds weights alone.
    """
    content = load_checkpoint(checkpoint)
    if "optimizer_states" not in content or "global_step" not in content:
        raise CheckpointError(
            f"{checkpoint}: this file holds weights alone, so a training cannot go on from it. Expected a whole "
            f"checkpoint, such as {LAST_CHECKPOINT}."
        )
    return int(content["global_step"])
