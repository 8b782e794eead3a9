"""One class for each image."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol

import torch
from torch import Tensor

from cuelight.config import Part
from cuelight.data.targets.target_kind import Augmentation
from cuelight.errors import DataError, Problem
from cuelight.images.preprocessing import Preprocessing


class Labels:
    """The index of the class of an image; no transform changes it."""

    def fit(self, target: int, preprocessing: Preprocessing) -> int:
        """Return the label."""
        return target

    def augment(self, augmentation: Augmentation, image: Tensor, target: int) -> tuple[Tensor, int]:
        """Transform the image alone."""
        return augmentation(image), target

    def collate(self, targets: Sequence[int | Tensor]) -> Tensor:
        """Return int64 ``(N,)``.

        Raises:
            DataError: A target is not the index of a class.
        """
        if wrong := [target for target in targets if isinstance(target, Tensor) and target.ndim]:
            raise DataError(
                f"The target of an image is a tensor {tuple(wrong[0].shape)}, and the index of a class was expected. "
                "Where targets are masks, set `target_kind = MASKS` in the class of the data module "
                "(cuelight.data.targets.masks)."
            )
        return torch.tensor(targets, dtype=torch.int64)

    def transform_problems(self, transforms: Iterable[Part] | None, path: str) -> list[Problem]:
        """Return nothing: every transform is possible."""
        return []


LABELS = Labels()


class LabelledFiles(Protocol):
    """Image files with the class of each."""

    @property
    def paths(self) -> Sequence[str]:
        """The files."""
        ...

    @property
    def labels(self) -> Sequence[int]:
        """The class of each."""
        ...


def hashed_entries(files: LabelledFiles, class_names: Sequence[str]) -> Iterator[tuple[str, str]]:
    """List what the fingerprint of a dataset depends on.

    Yields:
        Each file, and the text that belongs to it.
    """
    for path, label in zip(files.paths, files.labels, strict=True):
        yield path, class_names[label]
