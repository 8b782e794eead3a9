"""Detection networks: a backbone of timm, a feature pyramid, and a head without anchors for each stride."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, Literal

import torch
from torch import Tensor, nn

from cuelight.errors import ConfigError, Problem
from cuelight.training.backbones import backbone_problems, build_feature_maps, feature_strides

NeckName = Literal["fpn", "pan"]
ActivationName = Literal["relu", "hardswish", "silu"]

ACTIVATIONS: dict[str, type[nn.Module]] = {"relu": nn.ReLU, "hardswish": nn.Hardswish, "silu": nn.SiLU}
_PRIOR = 0.01  # probability of each class in a new network (T.-Y. Lin et al., 2017, "Focal Loss")


class DetectionNetwork(nn.Module):
    """A detector: for each stride, the distances to the four sides of a box and the logits of the classes.

    Args:
        backbone: Returns a feature map for each stride.
        channels: The channels of those maps.
        strides: Pixels per cell of each map, ascending.
        num_classes: Number of classes.
        neck: ``fpn`` (T.-Y. Lin et al., 2017, "Feature Pyramid Networks") or ``pan``, which adds a way back up (S. Liu
            et al., 2018, "Path Aggregation Network").
        neck_channels: Channels of the pyramid and the head.
        head_depth: Convolutions of 3 x 3 in each branch of the head.
        activation: After each convolution of pyramid and head.
    """

    def __init__(
        self,
        backbone: nn.Module,
        channels: Sequence[int],
        strides: Sequence[int],
        num_classes: int,
        neck: NeckName,
        neck_channels: int,
        head_depth: int,
        activation: ActivationName,
    ) -> None:
        super().__init__()
        act = ACTIVATIONS[activation]
        ratios = [coarse // fine for fine, coarse in pairwise(strides)]
        self.backbone = backbone
        self.neck = (FPN if neck == "fpn" else PAN)(channels, ratios, neck_channels, act)
        self.heads = nn.ModuleList(Head(neck_channels, num_classes, head_depth, act) for _ in strides)
        self.points = nn.ModuleList()
        self._branch = neck_channels, head_depth, act

    def add_points(self, count: int) -> None:
        """Add a branch for points to each stride: offsets x and y in strides, and the logit of visibility."""
        channels, depth, act = self._branch
        last = [_last(channels, 3 * count, 0.0) for _ in self.heads]
        self.points.extend(_branch(channels, depth, act, layer) for layer in last)

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Compute a map ``(N, 4 + classes, H / stride, W / stride)`` for each stride.

        The first four channels are the distances from the centre of a cell to the left, top, right and bottom side,
        in strides and at least 0; the others are logits. With points, maps ``(N, 3 * points, H / stride, W / stride)``
        of each stride follow.
        """
        levels = self.neck(self.backbone(images))
        maps = [head(level) for head, level in zip(self.heads, levels, strict=True)]
        return *maps, *(points(level) for points, level in zip(self.points, levels, strict=False))


class FPN(nn.Module):
    """Feature pyramid: each map is joined with those of the coarser ones; ``ratios`` are between neighbors."""

    def __init__(
        self, in_channels: Sequence[int], ratios: Sequence[int], channels: int, activation: type[nn.Module]
    ) -> None:
        super().__init__()
        self.lateral = nn.ModuleList(convolution(count, channels, 1, activation) for count in in_channels)
        self.enlarge = nn.ModuleList(nn.Upsample(scale_factor=ratio, mode="nearest") for ratio in ratios)
        self.smooth = nn.ModuleList(convolution(channels, channels, 3, activation) for _ in in_channels)

    def forward(self, features: Sequence[Tensor]) -> list[Tensor]:
        """Return maps of the sizes of the features, finest first, with ``channels`` each."""
        levels = [lateral(feature) for lateral, feature in zip(self.lateral, features, strict=True)]
        for index in reversed(range(len(levels) - 1)):
            levels[index] = levels[index] + self.enlarge[index](levels[index + 1])
        return [smooth(level) for smooth, level in zip(self.smooth, levels, strict=True)]


class PAN(FPN):
    """A feature pyramid whose maps are then joined with those of the finer ones."""

    def __init__(
        self, in_channels: Sequence[int], ratios: Sequence[int], channels: int, activation: type[nn.Module]
    ) -> None:
        super().__init__(in_channels, ratios, channels, activation)
        self.reduce = nn.ModuleList(convolution(channels, channels, 3, activation, ratio) for ratio in ratios)
        self.join = nn.ModuleList(convolution(channels, channels, 3, activation) for _ in ratios)

    def forward(self, features: Sequence[Tensor]) -> list[Tensor]:
        """Return maps as those of FPN."""
        levels = super().forward(features)
        for index, (reduce, join) in enumerate(zip(self.reduce, self.join, strict=True)):
            levels[index + 1] = join(levels[index + 1] + reduce(levels[index]))
        return levels


class Head(nn.Module):
    """The head of one stride, with a branch for boxes and one for classes.

    As in YOLOv6 (C. Li et al., 2022), but the distances are regressed directly, without a distribution.
    """

    def __init__(self, channels: int, num_classes: int, depth: int, activation: type[nn.Module]) -> None:
        super().__init__()
        lasts = _last(channels, 4, 1.0), _last(channels, num_classes, -math.log(1 / _PRIOR - 1))
        self.boxes, self.classes = (_branch(channels, depth, activation, last) for last in lasts)

    def forward(self, features: Tensor) -> Tensor:
        """Compute distances and logits, ``(N, 4 + classes, H, W)``, of features ``(N, C, H, W)``."""
        return torch.cat([self.boxes(features).relu(), self.classes(features)], 1)


def _branch(channels: int, depth: int, activation: type[nn.Module], last: nn.Module) -> nn.Sequential:
    return nn.Sequential(*(convolution(channels, channels, 3, activation) for _ in range(depth)), last)


def _last(channels: int, outputs: int, bias: float) -> nn.Conv2d:
    layer = nn.Conv2d(channels, outputs, 1)
    nn.init.normal_(layer.weight, std=0.01)
    nn.init.constant_(layer.bias, bias)  # type: ignore[arg-type]  # it has one
    return layer


def convolution(
    in_channels: int, out_channels: int, size: int, activation: type[nn.Module], stride: int = 1
) -> nn.Sequential:
    """Return a convolution with batch normalization and an activation."""
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, size, stride, size // 2, bias=False),
        nn.BatchNorm2d(out_channels),
        activation(inplace=True),
    )


def build_detector(
    backbone: str,
    pretrained: bool | str,
    in_channels: int,
    input_size: tuple[int, int],
    backbone_params: Mapping[str, Any],
    strides: Sequence[int],
    **head: Any,
) -> DetectionNetwork:
    """Build a detector; ``head`` are the further arguments of :class:`DetectionNetwork`.

    Pretrained weights of the backbone are downloaded once, or read from a file.

    Raises:
        ConfigError: If a name or an argument is not known, the backbone has no maps of these strides, or the images
            are no multiples of the largest one.
        CuelightError: If the pretrained weights cannot be fetched.
    """
    path = "model.params"
    if problems := (
        backbone_problems(backbone, pretrained, backbone_params, path)
        or stride_problems(backbone, strides, path)
        or _size_problems(input_size, strides)
    ):
        raise ConfigError(problems)
    features, channels = build_feature_maps(backbone, pretrained, in_channels, input_size, strides, backbone_params)
    return DetectionNetwork(features, channels, strides, **head)


def stride_problems(backbone: str, strides: Sequence[int], path: str) -> list[Problem]:
    """Check the strides against the maps of a backbone; ``path`` is the key path of the model's parameters."""
    where = f"{path}.strides" if path else "strides"
    if not strides or list(strides) != sorted(set(strides)):
        return [Problem(f"expected strides in ascending order, such as [8, 16, 32]; got {list(strides)}.", where)]
    if any(coarse % fine for fine, coarse in pairwise(strides)):
        return [Problem(f"expected each stride to be a multiple of the one before; got {list(strides)}.", where)]
    available = feature_strides(backbone)
    if missing := [stride for stride in strides if stride not in available]:
        has = ", ".join(map(str, available))
        return [Problem(f"{backbone} has no feature map of stride {missing[0]}. It has those of {has}.", where)]
    return []


def _size_problems(input_size: tuple[int, int], strides: Sequence[int]) -> list[Problem]:
    if not any(side % strides[-1] for side in input_size):
        return []
    height, width = input_size
    nearest = [max(1, round(side / strides[-1])) * strides[-1] for side in input_size]
    message = (
        f"the images have {height} x {width} pixels (height x width), but a detector with the stride {strides[-1]} "
        f"needs multiples of it, such as {nearest[0]} x {nearest[1]}."
    )
    return [Problem(message, "data.params.size")]
