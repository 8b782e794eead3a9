"""Image preprocessing as plain data, for training, export, archive and prediction; ``tensors.py`` applies it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

from cuelight.errors import ConfigError, Problem
from cuelight.images.value_range import ValueRange, range_problem

ColorOrder = Literal["RGB", "BGR", "GRAY"]
ResizeMode = Literal["stretch", "crop", "letterbox"]

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

DAMAGED = (ValueError, TypeError, AttributeError, LookupError, OverflowError, RecursionError, ConfigError)
"""Raised by :meth:`Preprocessing.from_dict`, and by whatever reads its values from a file, if they are damaged."""

_LARGEST_SIDE = 16_384  # pixels; a single image in float32 has 3 GB then

IGNORE_INDEX = 255
"""Mask value of pixels that belong to no class and are ignored."""


@dataclass(frozen=True)
class Preprocessing:
    """How an image becomes the model's input; :func:`cuelight.images.tensors.prepare` applies it.

    Args:
        size: Height and width in pixels.
        mean: Mean of each channel on the 0-1 scale, in the order of ``color``; one number is used for all channels.
        std: Standard deviation of each channel on the 0-1 scale, in the same order.
        color: Order of the channels in the model's input.
        resize: ``stretch`` ignores the aspect ratio; ``crop`` scales the shorter side and cuts the middle out;
            ``letterbox`` scales the longer side and fills the rest with black.
        value_range: The values of black and white in images of more than 8 bits, such as ``(0, 4095)``; without it they
            are refused. Images of 8 bits do not need it.

    Raises:
        ConfigError: A value is out of range, or mean and std do not have one number per channel.

    Examples:
        >>> Preprocessing(size=(32, 48), resize="letterbox").scaled_size(480, 640)
        (32, 43)
    """

    size: tuple[int, int]
    mean: tuple[float, ...] = IMAGENET_MEAN
    std: tuple[float, ...] = IMAGENET_STD
    color: ColorOrder = "RGB"
    resize: ResizeMode = "stretch"
    value_range: ValueRange | None = None

    def __post_init__(self) -> None:
        problems = [*_size_and_choice_problems(self), *_range_problems(self.value_range)]
        if not problems:
            for name in ("mean", "std"):
                values = tuple(float(value) for value in getattr(self, name))
                object.__setattr__(self, name, values * self.channels if len(values) == 1 else values)
            object.__setattr__(self, "size", (int(self.size[0]), int(self.size[1])))
            if self.value_range is not None:
                object.__setattr__(self, "value_range", (float(self.value_range[0]), float(self.value_range[1])))
            problems = list(_channel_problems(self))
        if problems:
            raise ConfigError(problems)

    @property
    def channels(self) -> int:
        """Number of channels in the model's input."""
        return 1 if self.color == "GRAY" else 3

    def scaled_size(self, height: int, width: int) -> tuple[int, int]:
        """Return the (height, width) to which an image is resized before center crop or padding, in pixels."""
        if self.resize == "stretch":
            return self.size
        ratios = (self.size[0] / height, self.size[1] / width)
        scale = max(ratios) if self.resize == "crop" else min(ratios)
        return max(1, round(height * scale)), max(1, round(width * scale))

    def to_dict(self) -> dict[str, Any]:
        """Return the fields in plain types, for a checkpoint or a file; :meth:`from_dict` reads them."""
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in asdict(self).items()
            if value is not None
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Preprocessing:
        """Create an object from what :meth:`to_dict` returned."""
        fields: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in values.items()
        }
        return cls(**fields)


def _size_and_choice_problems(preprocessing: Preprocessing) -> Iterator[Problem]:
    size: Sequence[int] = preprocessing.size
    if len(size) != 2 or not all(isinstance(side, int) and 1 <= side <= _LARGEST_SIDE for side in size):  # noqa: PLR2004
        yield Problem(f"size: expected height and width in pixels, from 1 to {_LARGEST_SIDE}, got {size!r}.")
    for name, choices in (("color", ColorOrder), ("resize", ResizeMode)):
        if (value := getattr(preprocessing, name)) not in get_args(choices):
            yield Problem(f"{name}: expected one of {', '.join(get_args(choices))}; got {value!r}.")


def _range_problems(value_range: ValueRange | None) -> list[Problem]:
    problem = range_problem(value_range) if value_range is not None else None
    return [Problem(f"value_range: {problem}")] if problem else []


def _channel_problems(preprocessing: Preprocessing) -> Iterator[Problem]:
    channels = preprocessing.channels
    for name in ("mean", "std"):
        if (count := len(getattr(preprocessing, name))) != channels:
            each = f"one for each channel of {preprocessing.color}, or a single one"
            yield Problem(f"{name}: expected {channels} numbers, {each}; got {count}.")
    if not all(map(math.isfinite, preprocessing.mean)):
        yield Problem(f"mean: expected finite numbers, got {list(preprocessing.mean)}.")
    if not all(0 < value < math.inf for value in preprocessing.std):
        yield Problem(f"std: expected numbers greater than 0, got {list(preprocessing.std)}.")
