"""What the exported model and PyTorch are compared on."""

from __future__ import annotations

import torch
from torch import Tensor

from cuelight.errors import ExportError
from cuelight.export.model_metadata import ModelMetadata
from cuelight.export.onnx.export_target import Batch, Inputs, Target, repeated, with_batch_size
from cuelight.images import tensors

_RANDOM = "checked on random input, because there were no images"


def check_batches(
    example: Inputs, images: Tensor | None, target: Target, metadata: ModelMetadata
) -> tuple[tuple[Batch, ...], tuple[str, ...]]:
    """Choose the inputs of the check.

    Args:
        example: Inputs of the model.
        images: Normalized images ``(N, C, H, W)``, if there are any.
        target: What is exported.
        metadata: What is known of the model.

    Returns:
        A batch of one, and of two where the number is free; and notes.

    Raises:
        ExportError: The images have another size than the example.
    """
    sizes = (1, 2) if target.dynamic else (1,)
    takes_bytes = target.example[0].dtype == torch.uint8
    if len(target.example) > 1:
        return tuple(with_batch_size(example, size) for size in sizes), ()
    if images is None:
        return tuple((_random(target.example[0], size),) for size in sizes), (_RANDOM,)
    if images.shape[1:] != target.example[0].shape[1:]:
        raise ExportError(
            f"the images for the check are {tuple(images.shape[1:])}, the example of the model is "
            f"{tuple(target.example[0].shape[1:])}. Give both the same size."
        )
    if takes_bytes and metadata.preprocessing is not None:
        images = (tensors.denormalize(metadata.preprocessing, images) * 255.0).round().to(torch.uint8)
    return tuple((repeated(images, size),) for size in sizes), ()


def _random(example: Tensor, size: int) -> Tensor:
    """Random numbers of the shape and type of an example, the same ones every time."""
    generator = torch.Generator().manual_seed(0)
    shape = (size, *example.shape[1:])
    if example.dtype == torch.uint8:
        return torch.randint(0, 256, shape, generator=generator, dtype=torch.uint8)
    if example.is_floating_point():
        return torch.randn(shape, generator=generator, dtype=example.dtype)
    return repeated(example, size)
