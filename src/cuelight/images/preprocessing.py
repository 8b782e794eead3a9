"""What is done to every image before the model sees it: one object for training, export and archive."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import functional

from cuelight.errors import ConfigError, Problem

ColorOrder = Literal["RGB", "BGR", "GRAY"]
ResizeMode = Literal["stretch", "crop", "letterbox"]

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

IGNORE_INDEX = 255
"""What a pixel of a mask holds that belongs to no class and counts nowhere."""

_PIL_MODES = {"RGB": "RGB", "BGR": "RGB", "GRAY": "L"}
_UINT8_MAX = 255.0


@dataclass(frozen=True)
class Preprocessing:
    """Turns an image into what the model takes.

    Args:
        size: Height and width in pixels.
        mean: Mean of each channel on the 0-1 scale, in the order of ``color``; one number is used for all channels.
        std: Standard deviation of each channel on the 0-1 scale, in the same order.
        color: Order of the channels that the model sees.
        resize: ``stretch`` ignores the aspect ratio; ``crop`` scales the shorter side and cuts the middle out;
            ``letterbox`` scales the longer side and fills the rest with black.

    Raises:
        ConfigError: A value is out of its range, or mean and std do not have one number per channel.

    Examples:
        >>> preprocessing = Preprocessing(size=(32, 48), mean=(0.5,), std=(0.25,), color="GRAY")
        >>> preprocessing(Image.new("RGB", (640, 480))).shape
        torch.Size([1, 32, 48])
    """

    size: tuple[int, int]
    mean: tuple[float, ...] = IMAGENET_MEAN
    std: tuple[float, ...] = IMAGENET_STD
    color: ColorOrder = "RGB"
    resize: ResizeMode = "stretch"

    def __post_init__(self) -> None:
        problems = [*_size_problems(self.size), *_choice_problems(self)]
        if not problems:
            for name in ("mean", "std"):
                values = tuple(float(value) for value in getattr(self, name))
                object.__setattr__(self, name, values * self.channels if len(values) == 1 else values)
            object.__setattr__(self, "size", (int(self.size[0]), int(self.size[1])))
            problems = _channel_problems(self)
        if problems:
            raise ConfigError(problems)

    @property
    def channels(self) -> int:
        """Number of channels that the model sees."""
        return 1 if self.color == "GRAY" else 3

    def __call__(self, image: Image.Image | Tensor) -> Tensor:
        """Prepare one image, or a batch of images of one size.

        Args:
            image: A PIL image; or a tensor ``(..., C, H, W)`` in RGB or grey, uint8 or float on the 0-1 scale.

        Returns:
            float32 ``(..., channels, *size)``.
        """
        return self.normalize(self.fit(image))

    def to_tensor(self, image: Image.Image | Tensor) -> Tensor:
        """Take an image apart into channels, in RGB or grey, at its own size.

        Args:
            image: A PIL image of any mode, or a tensor ``(..., 1 or 3, H, W)``.

        Returns:
            The tensor; uint8 ``(channels, H, W)`` of a PIL image.
        """
        if isinstance(image, Image.Image):
            mode = _PIL_MODES[self.color]
            # Left in the memory order of PIL (channels last): torchvision resizes that four times faster.
            channels: Tensor = functional.pil_to_tensor(image if image.mode == mode else image.convert(mode))
            return channels
        if image.shape[-3] == self.channels:
            return image
        if self.channels == 1:
            gray: Tensor = functional.rgb_to_grayscale(image)
            return gray
        return image.expand(*image.shape[:-3], 3, *image.shape[-2:])

    def fit(self, image: Image.Image | Tensor) -> Tensor:
        """Bring an image to ``size``, bilinear and antialiased, still in RGB or grey and not normalized.

        Args:
            image: As for calling the object.

        Returns:
            ``(..., channels, *size)`` of the dtype of the image.
        """
        tensor = self.to_tensor(image)
        if tuple(tensor.shape[-2:]) == self.size:
            return tensor
        if self.resize == "stretch":
            return _resize(tensor, self.size)
        scaled = self.scaled_size(tensor.shape[-2], tensor.shape[-1])
        # center_crop cuts what is too large and fills what is too small with zeros, each around the middle.
        fitted: Tensor = functional.center_crop(_resize(tensor, scaled), list(self.size))
        return fitted

    def fit_mask(self, mask: Tensor) -> Tensor:
        """Bring a mask to ``size`` as :meth:`fit` brings its image, each pixel the class of the nearest one.

        Args:
            mask: uint8 ``(..., H, W)``: the index of each pixel's class.

        Returns:
            uint8 ``(..., *size)``; ``IGNORE_INDEX`` where the image is filled with black.
        """
        if tuple(mask.shape[-2:]) == self.size:
            return mask
        if self.resize == "stretch":
            return _resize_mask(mask, self.size)
        scaled = self.scaled_size(mask.shape[-2], mask.shape[-1])
        return center_crop_mask(_resize_mask(mask, scaled), self.size)

    def scaled_size(self, height: int, width: int) -> tuple[int, int]:
        """Tell the size to which :meth:`fit` resizes an image, before it cuts off or fills up around the middle.

        Args:
            height: Of the image, in pixels.
            width: Of the image, in pixels.

        Returns:
            Height and width in pixels.
        """
        if self.resize == "stretch":
            return self.size
        ratios = (self.size[0] / height, self.size[1] / width)
        scale = max(ratios) if self.resize == "crop" else min(ratios)
        return max(1, round(height * scale)), max(1, round(width * scale))

    def normalize(self, images: Tensor) -> Tensor:
        """Scale, normalize, and put the channels in the order of ``color``.

        Args:
            images: ``(..., channels, H, W)`` in RGB or grey, uint8 or float on the 0-1 scale.

        Returns:
            float32 of the same shape, contiguous.
        """
        scale = _UINT8_MAX if images.dtype == torch.uint8 else 1.0
        if self.color == "BGR":
            images = images.flip(-3)
        mean = self._per_channel(self.mean, images.device) * scale
        std = self._per_channel(self.std, images.device) * scale
        output = torch.empty(images.shape, dtype=torch.float32, device=images.device)
        return torch.sub(images, mean, out=output).div_(std)

    def denormalize(self, images: Tensor) -> Tensor:
        """Undo :meth:`normalize`, for pictures.

        Args:
            images: float ``(..., channels, H, W)`` as the model sees them.

        Returns:
            float32 of the same shape on the 0-1 scale, in RGB or grey.
        """
        pictures = images.float() * self._per_channel(self.std, images.device)
        pictures = (pictures + self._per_channel(self.mean, images.device)).clamp(0.0, 1.0)
        return pictures.flip(-3) if self.color == "BGR" else pictures

    def to_dict(self) -> dict[str, Any]:
        """Describe this in plain types, for a checkpoint or a file; :meth:`from_dict` reads it."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Preprocessing:
        """Read what :meth:`to_dict` wrote.

        Args:
            values: The fields by name.

        Returns:
            An equal object.
        """
        fields: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in values.items()
        }
        return cls(**fields)

    @staticmethod
    def _per_channel(values: Sequence[float], device: torch.device) -> Tensor:
        return torch.tensor(values, dtype=torch.float32, device=device).view(-1, 1, 1)


def center_crop_mask(mask: Tensor, size: Sequence[int]) -> Tensor:
    """Cut the middle out of a mask, and fill what is missing around it with ``IGNORE_INDEX``.

    Args:
        mask: uint8 ``(..., H, W)``.
        size: Height and width in pixels.

    Returns:
        uint8 ``(..., *size)``.
    """
    # center_crop fills with 0, which is what 255 + 1 is in 8 bits.
    cropped: Tensor = functional.center_crop_mask(mask + 1, list(size)) - 1
    return cropped


def _resize_mask(mask: Tensor, size: tuple[int, int]) -> Tensor:
    # Plain NEAREST takes the corner of what a pixel covers, and so moves a mask against its image.
    resized: Tensor = functional.resize_mask(mask, list(size), interpolation=InterpolationMode.NEAREST_EXACT)
    return resized


def _resize(tensor: Tensor, size: tuple[int, int]) -> Tensor:
    resized: Tensor = functional.resize(tensor, list(size), antialias=True)
    return resized


def _size_problems(size: Sequence[int]) -> list[Problem]:
    whole = len(size) == 2 and all(isinstance(side, int) and side >= 1 for side in size)  # noqa: PLR2004
    return [] if whole else [Problem(f"size: expected height and width in pixels of at least 1, got {size!r}.")]


def _choice_problems(preprocessing: Preprocessing) -> list[Problem]:
    return [
        Problem(f"{name}: expected one of {', '.join(get_args(choices))}; got {getattr(preprocessing, name)!r}.")
        for name, choices in (("color", ColorOrder), ("resize", ResizeMode))
        if getattr(preprocessing, name) not in get_args(choices)
    ]


def _channel_problems(preprocessing: Preprocessing) -> list[Problem]:
    problems = [
        Problem(
            f"{name}: expected {preprocessing.channels} numbers, one for each channel of {preprocessing.color}, "
            f"or a single one; got {len(getattr(preprocessing, name))}."
        )
        for name in ("mean", "std")
        if len(getattr(preprocessing, name)) != preprocessing.channels
    ]
    if any(value <= 0 for value in preprocessing.std):
        problems.append(Problem(f"std: expected numbers greater than 0, got {list(preprocessing.std)}."))
    return problems
