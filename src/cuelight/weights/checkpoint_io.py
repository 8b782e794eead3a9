"""Checkpoints that are written atomically and read without running code."""

from __future__ import annotations

import os
import pickle
import re
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins import TorchCheckpointIO
from lightning.fabric.utilities.cloud_io import get_filesystem

from cuelight.config.environment import with_references, without_references
from cuelight.errors import CheckpointError
from cuelight.utils.files import atomic_write
from cuelight.weights.checkpoint_content import content_problem, size_problem

# Raised by torch.load for files that are truncated or of another format.
_UNREADABLE = (
    RuntimeError, EOFError, OSError, ValueError, LookupError, TypeError, AttributeError, AssertionError,
    ArithmeticError, MemoryError, struct.error, zipfile.BadZipFile,
)  # fmt: skip

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
            _read(target, "cpu")
            self._read_back = True

    def load_checkpoint(
        self,
        path: str | Path,
        map_location: Callable[..., Any] | None = None,
        weights_only: bool | None = None,
    ) -> dict[str, Any]:
        """Read a checkpoint as :func:`load_checkpoint`, or the state dict that a spawned process returns.

        ``weights_only`` is ignored: it is always true.
        """
        content = _read(path, map_location or "cpu")
        return content if Path(path).name == _HANDED_BACK else _checked(path, content)


def load_checkpoint(path: str | Path, map_location: Any = "cpu", mmap: bool = False) -> dict[str, Any]:
    """Read a Lightning checkpoint without running code that it may contain.

    Args:
        path: The file, local or of any fsspec protocol.
        map_location: Device of the tensors, as for ``torch.load``.
        mmap: Whether to read tensors only when they are used; ignored for remote files.

    Returns:
        The content: ``state_dict`` and all else that the trainer saved.

    Raises:
        CheckpointError: If the file is missing, damaged, or has more than tensors and plain values.
    """
    return _checked(path, _read(path, map_location, mmap))


def _read(path: str | Path, map_location: Any, mmap: bool = False) -> Any:
    filesystem = get_filesystem(path)
    if not filesystem.isfile(str(path)):
        raise CheckpointError(f"{path}: there is no such checkpoint file.")
    try:
        size = filesystem.size(str(path))
        with filesystem.open(str(path), "rb") as file:
            if problem := size_problem(file, size):
                raise _unreadable(path, problem)
            file.seek(0)
            mapped = mmap and zipfile.is_zipfile(path)
            content = torch.load(path if mapped else file, map_location=map_location, weights_only=True, mmap=mapped)
    except pickle.UnpicklingError as error:
        raise _unsafe_content(path, error) from error
    except _UNREADABLE as error:
        raise _unreadable(path, _first_line(error)) from error
    if problem := content_problem(content, size):
        raise _unreadable(path, problem)
    return content


def _checked(path: str | Path, content: Any) -> dict[str, Any]:
    if not isinstance(content, dict) or "state_dict" not in content:
        raise CheckpointError(f"{path}: this file has no `state_dict`, so it is not a Lightning checkpoint.")
    return content | {"callbacks": without_references(content["callbacks"])} if "callbacks" in content else content


def _is_remote(path: str | Path) -> bool:
    return "://" in str(path) and not str(path).startswith("file://")


def _write_error(path: Path, error: BaseException) -> CheckpointError:
    cause = error if isinstance(error, OSError) else error.__context__
    reason = os.strerror(cause.errno) if isinstance(cause, OSError) and cause.errno else _first_line(error)
    kept = "The previous checkpoint is unchanged." if path.exists() else "No partial file remains."
    return CheckpointError(
        f"{path}: the checkpoint could not be written: {reason}. {kept} "
        "Free some space or choose another folder, then resume the training."
    )


def _unsafe_content(path: str | Path, error: pickle.UnpicklingError) -> CheckpointError:
    """Name the object that torch refused, without the rest of its message, which explains how to load it anyway."""
    name = re.search(r"GLOBAL (\S+)", str(error))
    if name is None:
        return _unreadable(path, "not a pickle of tensors")
    return CheckpointError(
        f"{path}: not loaded, because it contains more than tensors and plain values, and loading it could run code. "
        f"Expected a checkpoint saved by Lightning. Found: {name.group(1)}."
    )


def _unreadable(path: str | Path, reason: str) -> CheckpointError:
    return CheckpointError(f"{path}: this checkpoint cannot be read. It is damaged or has another format ({reason}).")


def _first_line(error: BaseException) -> str:
    text = str(error).strip()
    return text.splitlines()[0] if text else type(error).__name__
