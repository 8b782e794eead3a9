"""Checks of a checkpoint: the size that it unpacks to, and the kinds of its entries."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from typing import Any, BinaryIO

import torch
from torch import Tensor

_LARGEST_VIEW = 64 * 1024**2  # bytes of a tensor that repeats what is stored, such as an expanded buffer
_LARGEST_COUNT = 2**63

_LOOP = ("loops", "fit_loop")
_PROGRESS = (*_LOOP, "epoch_progress", "current")
_BATCHES = (*_LOOP, "epoch_loop.state_dict")
_KINDS: dict[tuple[str, ...], type] = {
    **dict.fromkeys([("state_dict",), ("hyper_parameters",), ("callbacks",), ("loops",)], dict),
    **dict.fromkeys([_LOOP, (*_LOOP, "epoch_progress"), _PROGRESS, _BATCHES], dict),
    **dict.fromkeys([("epoch",), ("global_step",), (*_BATCHES, "_batches_that_stepped")], int),
    **dict.fromkeys([(*_PROGRESS, name) for name in ("ready", "started", "processed", "completed")], int),
    **dict.fromkeys([("optimizer_states",), ("lr_schedulers",)], list),
}
_NAMES = {dict: "a mapping", int: "a number from 0", list: "a list"}


def size_problem(file: BinaryIO, size: int) -> str | None:
    """Return a problem if a file of ``size`` bytes makes more than it stores when it is read; ``None`` if not."""
    if not zipfile.is_zipfile(file):  # torch's format before version 1.6
        file.seek(0)
        return _bytearray_problem(file.read())
    with zipfile.ZipFile(file) as content:
        unpacked = sum(entry.file_size for entry in content.infolist())
        if unpacked > size:
            return f"it has {size} bytes, but unpacks to {unpacked}"
        pickles = [entry for entry in content.infolist() if entry.filename.endswith("data.pkl")]
        return next((problem for entry in pickles if (problem := _bytearray_problem(content.read(entry)))), None)


def _bytearray_problem(pickled: bytes) -> str | None:
    """Refuse the one function that torch calls with what a pickle says and that can take any amount of memory."""
    return "it makes a bytearray, which can be of any size" if b"\nbytearray\n" in pickled else None


def content_problem(content: object, size: int) -> str | None:
    """Return what is wrong with the content of a checkpoint of ``size`` bytes; ``None`` if nothing is.

    Checked are the kinds of the entries that Cuelight reads, and the sizes of all tensors.
    """
    for path, kind in _KINDS.items():
        for value in _at(content, path):
            if not isinstance(value, kind) or (isinstance(value, int) and not 0 <= value < _LARGEST_COUNT):
                return f"{'.'.join(path)}: expected {_NAMES[kind]}, got {type(value).__name__}"
    if not all(isinstance(name, str) for weights in _at(content, ("state_dict",)) for name in weights):
        return "state_dict: expected names of weights"
    for tensor in _tensors(content):
        needed = tensor.numel() * tensor.element_size()
        if tensor.layout is torch.strided and needed > max(size, _LARGEST_VIEW):
            return f"a tensor of the shape {tuple(tensor.shape)} needs {needed} bytes, but the file has {size}"
    return None


def _at(node: Any, path: tuple[str, ...]) -> list[Any]:
    """Return the value at a path in a list, which is empty if there is none."""
    for key in path:
        if not isinstance(node, dict) or key not in node:
            return []
        node = node[key]
    return [node]


def _tensors(content: object) -> Iterator[Tensor]:
    """Yield all tensors in mappings, lists, tuples and sets; each of these is visited once."""
    waiting, seen = [content], set[int]()
    while waiting:
        value = waiting.pop()
        if isinstance(value, Tensor):
            yield value
        elif isinstance(value, (dict, list, tuple, set)) and id(value) not in seen:
            seen.add(id(value))
            waiting += value.values() if isinstance(value, dict) else value
