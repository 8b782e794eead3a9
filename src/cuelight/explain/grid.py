"""What a layer puts out, seen as maps over the image."""

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
    """View an activation, or its gradient, as maps.

    Understood are ``(N, C, h, w)``; ``(N, h, w, C)`` as in Swin, where only that fits the shape of the images; and
    tokens ``(N, T, C)`` as in a ViT, which lie row by row on the grid of patches after any number of others, such as
    class and register tokens. Those are left out.

    Args:
        tensor: What a layer put out, or a gradient of the same shape.
        count: Number of images N.
        size: Height and width of the images in pixels.

    Returns:
        A view ``(N, C, h, w)``; ``None`` if it is no map of more than one position.

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
        last = not _fits(tensor.shape[2:], size) and _fits(tensor.shape[1:3], size)
        maps = tensor.permute(0, 3, 1, 2) if last else tensor
    elif tensor.ndim == _TOKEN_DIMENSIONS and (grid := _grid(tensor.shape[1], size)):
        patches = tensor[:, tensor.shape[1] - grid[0] * grid[1] :]
        maps = patches.transpose(1, 2).reshape(count, -1, *grid)
    return maps if maps is not None and maps[0, 0].numel() > 1 else None


def has_shape_of_image(tensor: Tensor, size: Size) -> bool:
    """Return whether the maps that :func:`as_maps` sees are as wide to high as the images.

    Args:
        tensor: What a layer put out for one image.
        size: Height and width of the images in pixels.

    Returns:
        Whether one stride leads to both.
    """
    maps = as_maps(tensor, 1, size)
    return maps is not None and _fits(maps.shape[2:], size)


def mapped_tensor(output: Any, count: int, size: Size) -> Tensor | None:
    """Find the tensor that is shown of what a layer puts out.

    Args:
        output: A tensor; or tuples, lists and mappings of tensors, in each other.
        count: Number of images N.
        size: Height and width of the images in pixels.

    Returns:
        The last one that is a map ``(N, C, h, w)``, as of an encoder that gives one for each stage; otherwise the
        first one that :func:`as_maps` understands; ``None`` if there is none.
    """
    maps = [tensor for tensor in tensors_in(output) if as_maps(tensor, count, size) is not None]
    of_pixels = [tensor for tensor in maps if tensor.ndim == _MAP_DIMENSIONS]
    return of_pixels[-1] if of_pixels else next(iter(maps), None)


def tensors_in(output: Any) -> list[Tensor]:
    """List the tensors of an output."""
    found: list[Tensor] = []
    apply_to_collection(output, Tensor, found.append)
    return found


def with_replaced(output: Any, old: Tensor, new: Tensor) -> Any:
    """Put another tensor in the place of one."""
    return apply_to_collection(output, Tensor, lambda tensor: new if tensor is old else tensor)


def _grid(tokens: int, size: Size) -> Size | None:
    """The rows and columns of patches, with as few special tokens before them as possible."""
    height, width = size
    candidates = range(tokens, max(tokens - _MOST_SPECIAL_TOKENS, 1) - 1, -1)
    exact = [
        grid for patches in candidates for grid in _near_square(patches, size) if grid[0] * width == grid[1] * height
    ]
    padded = (grid for patches in candidates for grid in _near_square(patches, size) if _fits(grid, size))
    return exact[0] if exact else next(padded, None) if height != width else None


def _near_square(patches: int, size: Size) -> Iterator[Size]:
    """Rows and columns of as many patches, about as high and wide as the images."""
    middle = round(math.sqrt(patches * size[0] / size[1]))
    yield from ((rows, patches // rows) for rows in range(max(middle - 1, 1), middle + 2) if patches % rows == 0)


def _fits(grid: tuple[int, ...], size: Size) -> bool:
    """Whether one stride in both directions leads from the image to the grid, up to a row or column of padding."""
    (rows, columns), (height, width) = grid, size
    return rows <= height and columns <= width and abs(rows * width - columns * height) <= max(height, width)
