"""Training images made of several images, with the boxes of all: Mosaic and MixUp."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor
from torchvision.transforms.v2 import functional

from cuelight.data.targets.boxes import Boxes, BoxTarget

BoxSample = tuple[Tensor, BoxTarget]
Probability = Annotated[float, Field(ge=0, le=1)]

# Each of the four images gets at least this share of the height and of the width of a mosaic.
_LEAST_SHARE = 0.25


class BoxMixing:
    """Joins a training image with others, all at their final size.

    Random numbers come from the generator of torch.

    Args:
        kind: How the boxes are cut off.
        mosaic: Probability of a mosaic of four images (Bochkovskiy, Wang and Liao, 2020, YOLOv4), each between half and
            full size.
        mixup: Probability of the mean of two images (Zhang et al., 2019, Bag of Freebies for Training Object Detection
            Neural Networks).
        plain_epochs: Number of epochs at the end of the training in which images are not mixed.
    """

    joins_augmented = False

    def __init__(self, kind: Boxes, mosaic: float, mixup: float, plain_epochs: int) -> None:
        self.kind = kind
        self.mosaic = mosaic
        self.mixup = mixup
        self.plain_epochs = plain_epochs

    def __call__(self, sample: BoxSample, draw: Callable[[], BoxSample]) -> BoxSample:
        """Return the sample, or one of it and of those that ``draw`` returns."""
        if _happens(self.mosaic):
            sample = self._make_mosaic([sample, draw(), draw(), draw()])
        return self._mean(sample, draw()) if _happens(self.mixup) else sample

    def _make_mosaic(self, samples: Sequence[BoxSample]) -> BoxSample:
        images = [image for image, _ in samples]
        height, width = images[0].shape[-2:]
        whole = torch.cat([torch.cat(images[:2], -1), torch.cat(images[2:], -1)], -2)
        corners = [(0, 0), (width, 0), (0, height), (width, height)]
        target = self.kind.join([target for _, target in samples], corners, (2 * height, 2 * width))
        zoom = 1 + float(torch.rand(()))
        (top, rows), (left, columns) = _window(height, zoom), _window(width, zoom)
        window = {"top": top, "left": left, "height": rows, "width": columns}
        cut = partial(functional.resized_crop, **window, size=[height, width], antialias=True)
        return cut(whole), self.kind.move(target, cut)

    def _mean(self, sample: BoxSample, other: BoxSample) -> BoxSample:
        image = torch.stack([sample[0], other[0]]).float().mean(0)
        image = image if sample[0].is_floating_point() else image.round().to(sample[0].dtype)
        target = self.kind.join([sample[1], other[1]], [(0, 0), (0, 0)], (image.shape[-2], image.shape[-1]))
        return image, target


def _happens(probability: float) -> bool:
    return float(torch.rand(())) < probability


def _window(side: int, zoom: float) -> tuple[int, int]:
    """Return start and length of a random window of ``zoom`` times ``side`` around the middle of twice the side."""
    length = round(zoom * side)
    first = max(0.0, side - (1 - _LEAST_SHARE) * length)
    last = min(side - _LEAST_SHARE * length, 2 * side - length)
    return round(first + float(torch.rand(())) * (last - first)), length
