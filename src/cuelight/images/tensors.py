"""Apply a :class:`~cuelight.images.preprocessing.Preprocessing` to images and tensors."""

from __future__ import annotations

import platform
from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

from cuelight.images.preprocessing import Preprocessing
from cuelight.images.value_range import has_more_than_8_bits, scale_values

_PIL_MODES = {"RGB": "RGB", "BGR": "RGB", "GRAY": "L"}
_UINT8_MAX = 255.0
_LUMA = (0.2989, 0.587, 0.114)
# With these, torch resizes bytes as fast as torchvision asks for; elsewhere they are resized as numbers.
_RESIZES_BYTES = torch.backends.cpu.get_cpu_capability() in ("AVX2", "AVX512") or platform.machine() in (
    "aarch64", "arm64",
)  # fmt: skip


def prepare(preprocessing: Preprocessing, image: Image.Image | Tensor) -> Tensor:
    """Prepare one image, or a batch of images of one size.

    Args:
        preprocessing: The preprocessing to apply.
        image: A PIL image; or a tensor ``(..., C, H, W)`` in RGB or grey, uint8 or float on the 0-1 scale.

    Returns:
        float32 ``(..., channels, *size)``.
    """
    return normalize(preprocessing, fit(preprocessing, image))


def to_tensor(preprocessing: Preprocessing, image: Image.Image | Tensor) -> Tensor:
    """Convert an image to a tensor in RGB or grey, without resizing.

    A PIL image becomes uint8 ``(channels, H, W)``, or float on the 0-1 scale if ``preprocessing`` has a value range;
    transparency is dropped. A tensor ``(..., 1 or 3, H, W)`` gets the right number of channels.

    Raises:
        DataError: A PIL image has more than 8 bits per pixel, and there is no value range.
    """
    if isinstance(image, Image.Image):
        return _from_pil(preprocessing, image)
    if image.shape[-3] == preprocessing.channels:
        return image
    if preprocessing.channels == 1:
        red, green, blue = image.unbind(-3)
        return (red * _LUMA[0]).add_(green, alpha=_LUMA[1]).add_(blue, alpha=_LUMA[2]).to(image.dtype).unsqueeze(-3)
    return image.expand(*image.shape[:-3], 3, *image.shape[-2:])


def _from_pil(preprocessing: Preprocessing, image: Image.Image) -> Tensor:
    if has_more_than_8_bits(image):
        gray = torch.from_numpy(scale_values(image, preprocessing.value_range))
        return gray.expand(preprocessing.channels, *gray.shape)
    mode = _PIL_MODES[preprocessing.color]
    # Left in the memory order of PIL (channels last): torch resizes that four times faster.
    pixels = np.array(image if image.mode == mode else image.convert(mode))
    channels = torch.from_numpy(pixels).view(image.height, image.width, -1).permute(2, 0, 1)
    # A batch has one type of numbers.
    return channels if preprocessing.value_range is None else channels / _UINT8_MAX


def fit(preprocessing: Preprocessing, image: Image.Image | Tensor) -> Tensor:
    """Resize an image for :func:`prepare` to ``size``, bilinear and antialiased, without normalizing it.

    Returns ``(..., channels, *size)`` in RGB or grey, of the dtype of the image.
    """
    tensor = to_tensor(preprocessing, image)
    if tuple(tensor.shape[-2:]) == preprocessing.size:
        return tensor
    if preprocessing.resize == "stretch":
        return _resize(tensor, preprocessing.size)
    scaled = preprocessing.scaled_size(tensor.shape[-2], tensor.shape[-1])
    return _center(_resize(tensor, scaled), preprocessing.size)


def normalize(preprocessing: Preprocessing, images: Tensor) -> Tensor:
    """Scale and normalize images, and put their channels in the order of ``color``.

    Args:
        preprocessing: The preprocessing to apply.
        images: ``(..., channels, H, W)`` in RGB or grey, uint8 or float on the 0-1 scale.

    Returns:
        float32 of the same shape, contiguous.
    """
    scale = _UINT8_MAX if images.dtype == torch.uint8 else 1.0
    if preprocessing.color == "BGR":
        images = images.flip(-3)
    mean = _per_channel(preprocessing.mean, images.device) * scale
    std = _per_channel(preprocessing.std, images.device) * scale
    output = torch.empty(images.shape, dtype=torch.float32, device=images.device)
    return torch.sub(images, mean, out=output).div_(std)


def denormalize(preprocessing: Preprocessing, images: Tensor) -> Tensor:
    """Undo :func:`normalize`, for pictures.

    Returns float32 of the same shape on the 0-1 scale, in RGB or grey.
    """
    pictures = images.float() * _per_channel(preprocessing.std, images.device)
    pictures = (pictures + _per_channel(preprocessing.mean, images.device)).clamp(0.0, 1.0)
    return pictures.flip(-3) if preprocessing.color == "BGR" else pictures


def _per_channel(values: Sequence[float], device: torch.device) -> Tensor:
    return torch.tensor(values, dtype=torch.float32, device=device).view(-1, 1, 1)


def _resize(tensor: Tensor, size: tuple[int, int]) -> Tensor:
    """Resize images ``(..., C, H, W)``, bilinear and antialiased; bit for bit as torchvision does."""
    *batch, channels, height, width = tensor.shape
    images = tensor.reshape(-1, channels, height, width)
    if len(images) == 1 and images.is_contiguous(memory_format=torch.channels_last):
        # Otherwise torch may take the batch of one for the usual memory order, which is slower.
        images = images.as_strided(images.shape, (images.numel(), *images.stride()[1:]))
    exact = tensor.dtype == torch.uint8 and tensor.device.type == "cpu" and _RESIZES_BYTES
    resized = functional.interpolate(images if exact else images.float(), size, mode="bilinear", antialias=True)
    if resized.dtype != tensor.dtype:
        resized = resized.round_().clamp_(0, _UINT8_MAX).to(tensor.dtype)
    return resized.reshape(*batch, channels, *size)


def _center(tensor: Tensor, size: tuple[int, int]) -> Tensor:
    """Cut what is too large and fill what is too small with zeros, each around the middle."""
    padding: list[int] = []
    for have, want in zip(reversed(tensor.shape[-2:]), reversed(size), strict=True):
        before = (want - have) // 2 if want > have else -round((have - want) / 2.0)
        padding += [before, want - have - before]
    return functional.pad(tensor, padding)
