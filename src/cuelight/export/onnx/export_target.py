"""What is exported: a module from tensors to tensors, with names and shapes for all of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor, nn

Inputs: TypeAlias = Tensor | tuple[Tensor, ...] | Mapping[str, Tensor]
Batch: TypeAlias = tuple[Tensor, ...]


@dataclass(frozen=True)
class Target:
    """A module with the names and shapes of its inputs and outputs.

    Args:
        module: Takes and gives tensors only.
        example: Inputs with one image.
        input_names: One name for each input.
        output_names: One name for each output.
        input_shapes: Their sizes; ``"batch"`` where the size is free.
        output_shapes: The same of the outputs.
    """

    module: nn.Module
    example: Batch
    input_names: tuple[str, ...]
    output_names: tuple[str, ...]
    input_shapes: tuple[tuple[int | str, ...], ...]
    output_shapes: tuple[tuple[int | str, ...], ...]

    @property
    def dynamic(self) -> bool:
        """Whether the number of images is free."""
        return any("batch" in shape for shape in self.input_shapes)


def with_batch_size(example: Inputs, size: int) -> Batch:
    """Cut or repeat an example to a number of images.

    Args:
        example: Inputs of any number of images.
        size: The number wanted.

    Returns:
        The inputs in order; one whose first dimension differs from that of the first input stays as it is.
    """
    tensors = tuple(example.values()) if isinstance(example, Mapping) else example
    tensors = (tensors,) if isinstance(tensors, Tensor) else tuple(tensors)
    count = len(tensors[0])
    return tuple(repeated(tensor, size) if tensor.ndim and len(tensor) == count else tensor for tensor in tensors)


def repeated(tensor: Tensor, size: int) -> Tensor:
    """Take the first entries of a tensor, and start again where there are too few.

    Args:
        tensor: ``(N, ...)``.
        size: How many.

    Returns:
        ``(size, ...)``.
    """
    return tensor[torch.arange(size) % len(tensor)]
