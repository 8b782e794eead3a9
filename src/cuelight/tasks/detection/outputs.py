"""Outputs of a detector as the parser of depthai reads them, and as they are measured."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from cuelight.tasks.detection.decode import Candidates, Decoding, kept
from cuelight.tasks.detection.metrics import Found
from cuelight.tasks.detection.suppression import suppress_by_class


class ForParser(nn.Module):
    """Computes the outputs of a model as the parser reads them; its method ``exported`` converts them."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Compute the outputs."""
        outputs: tuple[Tensor, ...] = self.model.exported(self.model(images))
        return outputs


def with_probabilities(maps: Tensor) -> Tensor:
    """Return ``(N, 5 + classes, H, W)``, as the parser reads it, for an output ``(N, 4 + classes, H, W)``."""
    probabilities = maps[:, 4:].sigmoid()
    return torch.cat([maps[:, :4], probabilities.amax(1, keepdim=True), probabilities], 1)


def found_in(
    outputs: Sequence[Tensor], how: Decoding, read: Callable[[Sequence[NDArray[Any]], Decoding], Candidates]
) -> list[Found]:
    """Return the detections of each image, from outputs as the parser reads them; ``read`` finds those of one image."""
    arrays = [values.cpu().numpy() for values in outputs]
    images = [read(of_image, how) for of_image in zip(*arrays, strict=True)]
    limits = how.iou_threshold, how.max_det
    return [Found(kept(one, how), one[suppress_by_class(one.boxes, one.scores, one.labels, *limits)]) for one in images]


def images_of(targets: Mapping[str, Any]) -> list[dict[str, NDArray[Any]]]:
    """Return the targets of each image of a batch as arrays."""
    arrays = {name: values.cpu().numpy() for name, values in targets.items()}
    return [{name: values[place] for name, values in arrays.items()} for place in range(len(arrays["labels"]))]
