"""Lightning's plugin for checkpoints, which are written atomically."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins import TorchCheckpointIO

from cuelight.errors import CheckpointError
from cuelight.utils.environment import with_references
from cuelight.utils.files import atomic_write
from cuelight.weights.reading import checked, first_line, read_content

# Lightning's spawned processes return the plain state dict to the main process in this file.
_HANDED_BACK = ".temp.ckpt"

_HYPER_PARAMETERS = frozenset({
    "hyper_parameters", "hparams_name", "hparams_type",
    "datamodule_hyper_parameters", "datamodule_hparams_name", "datamodule_hparams_type",
})  # fmt: skip


class AtomicCheckpointIO(TorchCheckpointIO):
    """Lightning plugin that writes a checkpoint to a temporary file and renames it, and never unpickles objects.

    The first checkpoint is read back at once, so that a state which cannot be loaded fails at the first save and not
    after the training. Remote paths (``s3://`` and the like) are written by Lightning, because object stores replace
    files atomically.

    Args:
        hyper_parameters: Replaces, in every checkpoint, the hyperparameters saved by module and data module, which
            may be objects or secrets; those are kept if left out.
        extra_entries: More entries of every checkpoint, such as a description of the data.

    Examples:
        >>> from lightning.pytorch import Trainer
        >>> trainer = Trainer(plugins=[AtomicCheckpointIO()], logger=False, accelerator="cpu")
    """

    def __init__(
        self, hyper_parameters: dict[str, Any] | None = None, extra_entries: dict[str, Any] | None = None
    ) -> None:
        super().__init__()
        self.extra_entries = extra_entries or {}
        self.hyper_parameters = hyper_parameters
        self._read_back = False

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any | None = None) -> None:
        """Write a checkpoint atomically; raises ``CheckpointError``, an older file stays intact."""
        if self.hyper_parameters is not None:
            checkpoint = {key: value for key, value in checkpoint.items() if key not in _HYPER_PARAMETERS}
            checkpoint["hyper_parameters"] = self.hyper_parameters
        callbacks = {"callbacks": with_references(checkpoint["callbacks"])} if "callbacks" in checkpoint else {}
        checkpoint = checkpoint | callbacks | self.extra_entries
        if _is_remote(path):
            super().save_checkpoint(checkpoint, path, storage_options)
            return
        target = Path(path)
        try:
            with atomic_write(target) as file:
                torch.save(checkpoint, file)
        except (OSError, RuntimeError) as error:
            # torch raises a RuntimeError of its zip writer for a short write, with the OSError as its context.
            raise _write_error(target, error) from error
        if not self._read_back:
            read_content(target, "cpu")
            self._read_back = True

    def load_checkpoint(
        self,
        path: str | Path,
        map_location: Callable[..., Any] | None = None,
        weights_only: bool | None = None,
    ) -> dict[str, Any]:
        """Read a checkpoint as ``load_checkpoint``, or the state dict that a spawned process returns.

        ``weights_only`` is ignored: it is always true.
        """
        content = read_content(path, map_location or "cpu")
        return content if Path(path).name == _HANDED_BACK else checked(path, content)


def _is_remote(path: str | Path) -> bool:
    return "://" in str(path) and not str(path).startswith("file://")


def _write_error(path: Path, error: BaseException) -> CheckpointError:
    cause = error if isinstance(error, OSError) else error.__context__
    reason = os.strerror(cause.errno) if isinstance(cause, OSError) and cause.errno else first_line(error)
    kept = "The previous checkpoint is unchanged." if path.exists() else "No partial file remains."
    return CheckpointError(
        f"{path}: the checkpoint could not be written: {reason}. {kept} "
        "Free some space or choose another folder, then resume the training."
    )
