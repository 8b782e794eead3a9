"""Base of the data modules: loaders for training, validation and test."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Generic, TypeVar

import lightning.pytorch as pl
import numpy as np
from numpy.typing import NDArray

from cuelight.config import Part
from cuelight.data.loading.loaders import evaluation_loader, training_loader
from cuelight.data.loading.prefetching import CheckedLoader, ResumableLoader, SkippedFiles
from cuelight.data.loading.samples import Images
from cuelight.data.loading.transforms import build_augmentation, sees_whole_image
from cuelight.data.targets.labels import LABELS
from cuelight.data.targets.target_kind import Mixing, TargetKind
from cuelight.errors import DataError, Problem
from cuelight.images.preprocessing import Preprocessing

_Images = TypeVar("_Images", bound=Images)


class ImageDataModule(pl.LightningDataModule, Generic[_Images]):
    """Images in splits, each loaded with its target.

    A subclass has a property ``preprocessing``, and passes its images to :meth:`take_splits` in ``setup``.

    Args:
        transforms: Augmentation of the training images.
        batch_size: Images per batch and device.
        num_workers: Processes that load images, for each of train, val and test.
        seed: Seed of the order and of augmentation.

    Attributes:
        in_memory: Whether images are available so fast that workers would only slow loading down, except to augment.
        target_kind: How targets are transformed with their images: ``LABELS``, ``MASKS``, ``BOXES`` or one of your own.
        mixing: Joins training images with each other; ``None`` does not.
        task: The task of the targets; models of another task are refused.
    """

    in_memory = False
    target_kind: TargetKind = LABELS
    mixing: Mixing | None = None
    task: ClassVar[str | None] = None

    def __init__(self, transforms: Sequence[Part] | None, batch_size: int, num_workers: int, seed: int) -> None:
        super().__init__()
        self.transforms = transforms
        self.batch_size = batch_size
        self.num_workers = num_workers
        self.seed = seed
        self._splits: dict[str, _Images] = {}
        self._skipped: dict[str, SkippedFiles] = {}

    @classmethod
    def parameter_problems(cls, params: Mapping[str, Any], path: str) -> list[Problem]:
        """Report wrong parameters that their types allow, such as transforms that change an image but not its target.

        ``path`` is the key path of ``params``, for the messages.
        """
        return cls.target_kind.transform_problems(params.get("transforms"), f"{path}.transforms")

    @property
    def preprocessing(self) -> Preprocessing:
        """How an image is prepared for the model."""
        raise NotImplementedError

    @property
    def split_names(self) -> list[str]:
        """The splits that have images; known after ``setup``."""
        return list(self._splits)

    def take_splits(self, splits: Mapping[str, _Images], skip_unreadable: bool = False) -> None:
        """Use these images of ``train``, ``val`` and ``test``; an empty split counts as missing.

        With ``skip_unreadable``, unreadable images are left out and counted; otherwise they raise an error.
        """
        self._splits = {split: images for split, images in splits.items() if len(images)}
        if skip_unreadable:
            self._skipped = {split: SkippedFiles(split, len(images)) for split, images in self._splits.items()}

    def train_dataloader(self) -> ResumableLoader:
        """Return a loader of images, float32 ``(N, C, H, W)``, and collated targets; shuffled and augmented.

        A split without images raises ``DataError``, here and in the other loaders.
        """
        return training_loader(
            self.images_of("train"),
            self.preprocessing,
            batch_size=self.batch_size,
            num_workers=0 if self.in_memory and not (self.transforms or self.mixing) else self.num_workers,
            seed=self.seed,
            target_kind=self.target_kind,
            trainer=self.trainer,
            augmentation=build_augmentation(self.transforms),
            augment_first=sees_whole_image(self.transforms),
            mixing=self.mixing,
            weights=self.sample_weights(),
            skipped=self._skipped.get("train"),
        )

    def sample_weights(self) -> NDArray[np.float64] | None:
        """Return the chance of each training image to be drawn; ``None`` uses each once per epoch."""
        return None

    def val_dataloader(self) -> CheckedLoader:
        """Return a loader of the validation images, in order."""
        return self.whole_dataloader("val")

    def test_dataloader(self) -> CheckedLoader:
        """Return a loader of the test images, in order."""
        return self.whole_dataloader("test")

    def whole_dataloader(self, split: str) -> CheckedLoader:
        """Return a loader of each image of a split once, in order, without augmentation."""
        return evaluation_loader(
            self.images_of(split),
            self.preprocessing,
            batch_size=self.batch_size,
            num_workers=0 if self.in_memory else self.num_workers,
            target_kind=self.target_kind,
            trainer=self.trainer,
            skipped=self._skipped.get(split),
        )

    def teardown(self, stage: str) -> None:
        """Report the images that were skipped in an unfinished pass."""
        for skipped in self._skipped.values():
            skipped.report()

    def missing_split(self, split: str) -> str:
        """Return the message for a split without images."""
        return f"{type(self).__name__}: there are no images for {split}."

    def images_of(self, split: str) -> _Images:
        """Return the images of a split, as they are stored; one without images raises ``DataError``."""
        if split not in self._splits:
            raise DataError(self.missing_split(split))
        return self._splits[split]
