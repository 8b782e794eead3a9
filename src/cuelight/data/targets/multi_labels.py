"""Targets with any number of classes per image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from cuelight.data.targets.labels import Labels

PRESENT, UNKNOWN = 1.0, -1.0
"""The label of a class that is in the image, and of one of which this is not known; 0 if it is not there."""


class MultiLabels(Labels):
    """The label of each class, float32 ``(C,)``; no transform changes them."""

    def collate(self, targets: Sequence[Any]) -> Tensor:
        """Return float32 ``(N, C)``."""
        labels = [torch.as_tensor(target, dtype=torch.float32) for target in targets]
        return torch.stack(labels) if labels else torch.empty(0)


MULTI_LABELS = MultiLabels()
