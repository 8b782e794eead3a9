"""Targets with one class per image."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from cuelight.config import Part
from cuelight.data.targets.target_kind import Augmentation
from cuelight.errors import DataError, Problem
from cuelight.images.preprocessing import Preprocessing


class Labels:
    """The class index of an image, or the share of each class; no transform changes it."""

    def fit(self, target: int, preprocessing: Preprocessing) -> int:
        """Return the label."""
        return target

    def augment(self, augmentation: Augmentation, image: Tensor, target: int) -> tuple[Tensor, int]:
        """Transform only the image."""
        return augmentation(image), target

    def collate(self, targets: Sequence[int | Tensor]) -> Tensor:
        """Return int64 ``(N,)``, or float ``(N, classes)`` of shares; another target raises ``DataError``."""
        tensors = [target for target in targets if isinstance(target, Tensor) and target.ndim]
        if not tensors:
            return torch.tensor(targets, dtype=torch.int64)
        if any(target.ndim > 1 or not target.is_floating_point() for target in tensors):
            raise DataError(
                f"Expected a class index as the target of an image, got a tensor {tuple(tensors[0].shape)}. If targets "
                "are masks, set `target_kind = MASKS` in the class of the data module "
                "(cuelight.data.targets.masks)."
            )
        return torch.stack(tensors)

    def transform_problems(self, transforms: Iterable[Part] | None, path: str) -> list[Problem]:
        """Return no problem: every transform is possible."""
        return []


LABELS = Labels()
