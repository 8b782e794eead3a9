"""Checkpoints, read without running code; Lightning is not imported."""

from __future__ import annotations

import pickle
import re
import struct
import zipfile
from pathlib import Path
from typing import Any

import torch
from fsspec.core import url_to_fs

from cuelight.errors import CheckpointError
from cuelight.utils.environment import without_references
from cuelight.weights.checkpoint_content import content_problem, size_problem

# Raised by torch.load for files that are truncated or of another format.
_UNREADABLE = (
    RuntimeError, EOFError, OSError, ValueError, LookupError, TypeError, AttributeError, AssertionError,
    ArithmeticError, MemoryError, struct.error, zipfile.BadZipFile,
)  # fmt: skip


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
    return checked(path, read_content(path, map_location, mmap))


def read_content(path: str | Path, map_location: Any, mmap: bool = False) -> Any:
    """Read any content; otherwise as :func:`load_checkpoint`."""
    filesystem, _ = url_to_fs(str(path))
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
        raise _unreadable(path, first_line(error)) from error
    if problem := content_problem(content, size):
        raise _unreadable(path, problem)
    return content


def checked(path: str | Path, content: Any) -> dict[str, Any]:
    """Return the content of a checkpoint; ``CheckpointError`` if it has no weights."""
    if not isinstance(content, dict) or "state_dict" not in content:
        raise CheckpointError(f"{path}: this file has no `state_dict`, so it is not a Lightning checkpoint.")
    return content | {"callbacks": without_references(content["callbacks"])} if "callbacks" in content else content


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


def first_line(error: BaseException) -> str:
    """Return the first line of a message, or the name of an error without one."""
    text = str(error).strip()
    return text.splitlines()[0] if text else type(error).__name__
