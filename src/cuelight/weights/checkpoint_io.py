"""Checkpoints that are written whole and read without running code."""

from __future__ import annotations

import os
import pickle
import re
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins import TorchCheckpointIO
from lightning.fabric.utilities.cloud_io import get_filesystem
from lightning.fabric.utilities.types import _PATH

from cuelight.errors import CheckpointError
from cuelight.utils.files import atomic_write

# What torch's reader runs into in files that are something else, or that end too early.
_UNREADABLE = (
    RuntimeError, EOFError, OSError, ValueError, LookupError, TypeError, AttributeError, AssertionError,
    ArithmeticError, MemoryError, struct.error,
)  # fmt: skip

# Where Lightning's processes leave the bare state dict for the one that started them.
_HANDED_BACK = ".temp.ckpt"

_HYPER_PARAMETERS = frozenset({
    "hyper_parameters", "hparams_name", "hparams_type",
    "datamodule_hyper_parameters", "datamodule_hparams_name", "datamodule_hparams_type",
})  # fmt: skip


class AtomicCheckpointIO(TorchCheckpointIO):
    """Lightning plugin that writes a checkpoint beside its place and renames it, and never unpickles objects.

    The first file that it writes is read back at once, so that a state which cannot be read is found at the first
    save and not after the training.

    Remote paths (``s3://`` and the like) are written by Lightning's own code, because object stores replace a file
    in one step by themselves.

    Args:
        hyper_parameters: What every checkpoint says of how it was trained, in place of what module and data module
            collected by themselves, which may be objects or secrets. Left as it is if left out.
        extra_entries: More entries of every checkpoint, such as what the data tells of itself.

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

    def save_checkpoint(self, checkpoint: dict[str, Any], path: _PATH, storage_options: Any | None = None) -> None:
        """Write a checkpoint, whole or not at all.

        Args:
            checkpoint: What Lightning collected.
            path: Where it shall be.
            storage_options: Not used, as in Lightning's own plugin.

        Raises:
            CheckpointError: If the file system refuses, with the reason; an older file of that name is intact.
        """
        if self.hyper_parameters is not None:
            checkpoint = {key: value for key, value in checkpoint.items() if key not in _HYPER_PARAMETERS}
            checkpoint["hyper_parameters"] = self.hyper_parameters
        checkpoint = checkpoint | self.extra_entries
        if _is_remote(path):
            super().save_checkpoint(checkpoint, path, storage_options)
            return
        target = Path(path)
        try:
            with atomic_write(target) as file:
                torch.save(checkpoint, file)
        except (OSError, RuntimeError) as error:
            # torch reports a short write as a RuntimeError of its zip writer, with the OSError as its context.
            raise _write_error(target, error) from error
        if not self._read_back:
            _read(target, "cpu")
            self._read_back = True

    def load_checkpoint(
        self,
        path: _PATH,
        map_location: Callable[..., Any] | None = None,
        weights_only: bool | None = None,
    ) -> dict[str, Any]:
        """Read a checkpoint without running code, or the bare state dict that processes hand back after a training.

        Args:
            path: The file.
            map_location: Where the tensors go; the CPU if left out.
            weights_only: Ignored: it is always true.

        Returns:
            What was saved.

        Raises:
            CheckpointError: If the file is missing, damaged, or holds more than tensors and plain values.
        """
        content = _read(path, map_location or "cpu")
        return content if Path(path).name == _HANDED_BACK else _checked(path, content)


def load_checkpoint(path: _PATH, map_location: Any = "cpu", mmap: bool = False) -> dict[str, Any]:
    """Read a checkpoint of Lightning's without running any code that it may carry.

    Args:
        path: The file, local or of any protocol that fsspec knows.
        map_location: Where the tensors go.
        mmap: Leave the tensors in the file until they are used, as ``torch.load`` does; for those who read something
            else. Local files only.

    Returns:
        The content, a mapping with ``state_dict`` and what else the trainer saved.

    Raises:
        CheckpointError: If the file is missing, damaged, or holds more than tensors and plain values.
    """
    return _checked(path, _read(path, map_location, mmap))


def _read(path: _PATH, map_location: Any, mmap: bool = False) -> Any:
    filesystem = get_filesystem(path)
    if not filesystem.isfile(str(path)):
        raise CheckpointError(f"{path}: there is no such checkpoint file.")
    try:
        if mmap and not _is_remote(path):
            return torch.load(path, map_location=map_location, weights_only=True, mmap=True)
        with filesystem.open(str(path), "rb") as file:
            return torch.load(file, map_location=map_location, weights_only=True)
    except pickle.UnpicklingError as error:
        raise _unsafe_content(path, error) from error
    except _UNREADABLE as error:
        raise _unreadable(path, _first_line(error)) from error


def _checked(path: _PATH, content: Any) -> dict[str, Any]:
    if not isinstance(content, dict) or "state_dict" not in content:
        raise CheckpointError(f"{path}: this file has no `state_dict`, so it is no checkpoint of Lightning's.")
    return content


def _is_remote(path: _PATH) -> bool:
    return "://" in str(path) and not str(path).startswith("file://")


def _write_error(path: Path, error: BaseException) -> CheckpointError:
    cause = error if isinstance(error, OSError) else error.__context__
    reason = os.strerror(cause.errno) if isinstance(cause, OSError) and cause.errno else _first_line(error)
    kept = "The checkpoint saved there before is intact." if path.exists() else "No file was left behind."
    return CheckpointError(
        f"{path}: the checkpoint could not be written: {reason}. {kept} "
        "Free some space or choose another folder, then go on with `cuelight train --resume`."
    )


def _unsafe_content(path: _PATH, error: pickle.UnpicklingError) -> CheckpointError:
    """Name what torch refused; the rest of its message tells how to load the file in spite of it."""
    name = re.search(r"GLOBAL (\S+)", str(error))
    if name is None:
        return _unreadable(path, "no pickle of tensors")
    return CheckpointError(
        f"{path}: refused, because it holds more than tensors and plain values, and loading such a file can run code. "
        f"Expected a checkpoint saved by Lightning. What was found: {name.group(1)}."
    )


def _unreadable(path: _PATH, reason: str) -> CheckpointError:
    return CheckpointError(f"{path}: this is no readable checkpoint; it is damaged or of another format ({reason}).")


def _first_line(error: BaseException) -> str:
    text = str(error).strip()
    return text.splitlines()[0] if text else type(error).__name__
