"""Hashes that identify weights."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from cuelight.errors import CheckpointError
from cuelight.weights.reading import load_checkpoint


def fingerprint(state_dict: Mapping[str, Any]) -> str:
    """Compute the SHA-256 of all tensors with their names, types and shapes.

    Args:
        state_dict: The weights, as in ``checkpoint["state_dict"]``; other values than tensors are ignored.

    Returns:
        64 hexadecimal digits, the same on every machine and in any order of the names.

    Raises:
        CheckpointError: If a tensor is sparse, quantized, or has no values.

    Examples:
        >>> fingerprint({"weight": torch.zeros(2)}) == fingerprint({"weight": torch.zeros(2)})
        True
        >>> fingerprint({"weight": torch.zeros(2)}) == fingerprint({"weight": torch.zeros(2, 1)})
        False
    """
    digest = hashlib.sha256()
    for name in sorted(state_dict):
        value = state_dict[name]
        if isinstance(value, Tensor):
            if value.layout is not torch.strided or value.is_quantized or value.is_meta:
                raise CheckpointError(
                    f"{name}: this tensor is sparse, quantized or without values; expected a dense one."
                )
            digest.update(f"{name}\0{value.dtype}\0{tuple(value.shape)}\0".encode())
            digest.update(_bytes(value))
    return digest.hexdigest()


def fingerprint_of_file(checkpoint: Path) -> str:
    """Compute the :func:`fingerprint` of the weights in a checkpoint.

    Raises:
        CheckpointError: If the file is missing or damaged.
    """
    return fingerprint(load_checkpoint(checkpoint)["state_dict"])


def _bytes(tensor: Tensor) -> memoryview:
    flat = tensor.detach().cpu().resolve_conj().resolve_neg().contiguous().reshape(-1)
    return flat.view(torch.uint8).numpy().data
