"""Outputs of a detector as the parser of depthai reads them, and as they are measured."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from cuelight.data.targets.boxes import BoxTarget
from cuelight.tasks.detection.decode import Decoding, candidates
from cuelight.tasks.detection.examples import objects_of
from cuelight.tasks.detection.matching import Objects
from cuelight.tasks.detection.metrics import Found
from cuelight.tasks.detection.suppression import suppress, suppress_by_class


class ForParser(nn.Module):
    """Computes ``(N, 5 + classes, H, W)`` for each stride: distances, the largest probability, all probabilities."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Compute the outputs."""
        return tuple(map(with_probabilities, self.model(images)))


def with_probabilities(maps: Tensor) -> Tensor:
    """Return ``(N, 5 + classes, H, W)``, as the parser reads it, for an output ``(N, 4 + classes, H, W)``."""
    probabilities = maps[:, 4:].sigmoid()
    return torch.cat([maps[:, :4], probabilities.amax(1, keepdim=True), probabilities], 1)


def found_in(outputs: Sequence[Tensor], how: Decoding) -> list[Found]:
    """Return the detections of each image, from outputs ``(N, 4 + classes, H, W)`` for each stride."""
    maps = [with_probabilities(values.float()).cpu().numpy() for values in outputs]
    images = [candidates(of_image, how) for of_image in zip(*maps, strict=True)]
    limits = how.iou_threshold, how.max_det
    return [
        Found(
            one[suppress(one.boxes, one.scores, *limits)],
            one[suppress_by_class(one.boxes, one.scores, one.labels, *limits)],
        )
        for one in images
    ]


def objects_in(targets: BoxTarget) -> list[Objects]:
    """Return the objects of each image of a batch."""
    arrays = {name: targets[name].cpu().numpy() for name in ("boxes", "labels", "crowd")}
    return [
        objects_of({name: values[place] for name, values in arrays.items()}) for place in range(len(arrays["labels"]))
    ]
