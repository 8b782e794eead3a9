"""Outputs of layers as maps over the image; a ``size`` is the height and width of the images in pixels."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from lightning_utilities.core.apply_func import apply_to_collection
from torch import Tensor

Size = tuple[int, int]

_MAP_DIMENSIONS = 4
_TOKEN_DIMENSIONS = 3
_MOST_SPECIAL_TOKENS = 8


def as_maps(tensor: Tensor, count: int, size: Size) -> Tensor | None:
    """Return an activation or gradient of ``count`` images as maps ``(N, C, h, w)``.

    Supported shapes are ``(N, C, h, w)``; ``(N, h, w, C)`` as in Swin, if only that fits the shape of the images; and
    tokens ``(N, T, C)`` as in a ViT, patches row by row after special tokens (class, register), which are dropped.
    ``None`` if the tensor is no map of more than one position.

    Examples:
        >>> import torch
        >>> as_maps(torch.zeros(2, 197, 64), 2, (224, 224)).shape
        torch.Size([2, 64, 14, 14])
        >>> as_maps(torch.zeros(2, 7, 7, 64), 2, (224, 224)).shape
        torch.Size([2, 64, 7, 7])
    """
    if not tensor.is_floating_point() or tensor.ndim < _TOKEN_DIMENSIONS or tensor.shape[0] != count:
        return None
    maps: Tensor | None = None
    if tensor.ndim == _MAP_DIMENSIONS:
        last = not fits(tensor.shape[2:], size) and fits(tensor.shape[1:3], size)
        maps = tensor.permute(0, 3, 1, 2) if last else tensor
    elif tensor.ndim == _TOKEN_DIMENSIONS and (grid := _grid(tensor.shape[1], size)):
        patches = tensor[:, tensor.shape[1] - grid[0] * grid[1] :]
        maps = patches.transpose(1, 2).reshape(count, -1, *grid)
    return maps if maps is not None and maps[0, 0].numel() > 1 else None


def mapped_tensor(output: Any, count: int, size: Size) -> Tensor | None:
    """Return the tensor of a (nested) layer output to explain, ``None`` if none is a map.

    It is the last four-dimensional map, as in an encoder that returns one for each stage, or else the first map.
    """
    maps = [tensor for tensor in tensors_in(output) if as_maps(tensor, count, size) is not None]
    of_pixels = [tensor for tensor in maps if tensor.ndim == _MAP_DIMENSIONS]
    return of_pixels[-1] if of_pixels else next(iter(maps), None)


def tensors_in(output: Any) -> list[Tensor]:
    """List the tensors of a nested output."""
    found: list[Tensor] = []
    apply_to_collection(output, Tensor, found.append)
    return found


def with_replaced(output: Any, old: Tensor, new: Tensor) -> Any:
    """Return a nested output with one tensor replaced."""
    return apply_to_collection(output, Tensor, lambda tensor: new if tensor is old else tensor)


def _grid(tokens: int, size: Size) -> Size | None:
    """Return the rows and columns of patches that leave the fewest special tokens."""
    height, width = size
    candidates = range(tokens, max(tokens - _MOST_SPECIAL_TOKENS, 1) - 1, -1)
    exact = [
        grid for patches in candidates for grid in _near_square(patches, size) if grid[0] * width == grid[1] * height
    ]
    padded = (grid for patches in candidates for grid in _near_square(patches, size) if fits(grid, size))
    return exact[0] if exact else next(padded, None) if height != width else None


def _near_square(patches: int, size: Size) -> Iterator[Size]:
    """Yield the rows and columns of this many patches, close to the aspect ratio of the images."""
    middle = round(math.sqrt(patches * size[0] / size[1]))
    yield from ((rows, patches // rows) for rows in range(max(middle - 1, 1), middle + 2) if patches % rows == 0)


def fits(grid: tuple[int, ...], size: Size) -> bool:
    """Return whether image and grid differ by the same stride in both directions, up to a row or column of padding."""
    (rows, columns), (height, width) = grid, size
    return rows <= height and columns <= width and abs(rows * width - columns * height) <= max(height, width)
