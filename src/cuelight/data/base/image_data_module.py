"""What data modules do alike once they know their images: loaders for training, validation and test."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Generic, TypeVar

import lightning.pytorch as pl

from cuelight.config import Part
from cuelight.data.loading.loaders import evaluation_loader, training_loader
from cuelight.data.loading.prefetching import CheckedLoader, ResumableLoader, SkippedFiles
from cuelight.data.loading.samples import Images
from cuelight.data.loading.transforms import build_augmentation, sees_whole_image
from cuelight.data.targets.labels import LABELS
from cuelight.data.targets.target_kind import TargetKind
from cuelight.errors import DataError, Problem
from cuelight.images.preprocessing import Preprocessing

_Images = TypeVar("_Images", bound=Images)


class ImageDataModule(pl.LightningDataModule, Generic[_Images]):
    """Images in splits, each loaded with its target.

    A subclass has a property ``preprocessing``, and gives its images to :meth:`take_splits` in ``setup``.

    Args:
        transforms: Augmentation of the training images.
        batch_size: Images per batch and device.
        num_workers: Processes that load images, for each of train, val and test.
        seed: Seed of the order and of augmentation.

    Attributes:
        in_memory: Whether images are so quickly there that the main process is faster than workers, unless it
            augments them.
        target_kind: How targets follow their images: ``LABELS``, ``MASKS`` or one of your own.
        task: What can be learnt of them, as models name it; a model of another task is refused.
    """

    in_memory = False
    target_kind: ClassVar[TargetKind] = LABELS
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
        """Find what the types of the parameters do not tell, such as transforms that leave targets behind.

        Args:
            params: The parameters that are set.
            path: Where they are, in dot notation.

        Returns:
            One problem for each.
        """
        return cls.target_kind.transform_problems(params.get("transforms"), f"{path}.transforms")

    @property
    def preprocessing(self) -> Preprocessing:
        """How the model sees an image."""
        raise NotImplementedError

    @property
    def split_names(self) -> list[str]:
        """The splits that have images; known after ``setup``."""
        return list(self._splits)

    def take_splits(self, splits: Mapping[str, _Images], skip_unreadable: bool = False) -> None:
        """Load these images from now on.

        Args:
            splits: The images of ``train``, ``val`` and ``test``; an empty one counts as missing.
            skip_unreadable: Whether an image that cannot be read is left out and counted; otherwise it is an error.
        """
        self._splits = {split: images for split, images in splits.items() if len(images)}
        if skip_unreadable:
            self._skipped = {split: SkippedFiles(split, len(images)) for split, images in self._splits.items()}

    def train_dataloader(self) -> ResumableLoader:
        """Load for training.

        Returns:
            Batches of images, float32 ``(N, C, H, W)``, and targets as their kind collates them.

        Raises:
            DataError: There are no images for training.
        """
        return training_loader(
            self._images("train"),
            self.preprocessing,
            batch_size=self.batch_size,
            num_workers=0 if self.in_memory and not self.transforms else self.num_workers,
            seed=self.seed,
            target_kind=self.target_kind,
            trainer=self.trainer,
            augmentation=build_augmentation(self.transforms),
            augment_first=sees_whole_image(self.transforms),
            skipped=self._skipped.get("train"),
        )

    def val_dataloader(self) -> CheckedLoader:
        """Load for validation.

        Returns:
            Batches as for training.

        Raises:
            DataError: There are no images for validation.
        """
        return self.whole_dataloader("val")

    def test_dataloader(self) -> CheckedLoader:
        """Load for test.

        Returns:
            Batches as for training.

        Raises:
            DataError: There are no images for test.
        """
        return self.whole_dataloader("test")

    def whole_dataloader(self, split: str) -> CheckedLoader:
        """Load every image of a split once, in order, as it is.

        Args:
            split: ``train``, ``val`` or ``test``.

        Returns:
            Batches as for training.

        Raises:
            DataError: There are no such images.
        """
        return evaluation_loader(
            self._images(split),
            self.preprocessing,
            batch_size=self.batch_size,
            num_workers=0 if self.in_memory else self.num_workers,
            target_kind=self.target_kind,
            trainer=self.trainer,
            skipped=self._skipped.get(split),
        )

    def teardown(self, stage: str) -> None:
        """Report the images that were skipped in a pass that was not finished.

        Args:
            stage: What ends.
        """
        for skipped in self._skipped.values():
            skipped.report()

    def missing_split(self, split: str) -> str:
        """Say that a split has no images, and what to do."""
        return f"{type(self).__name__}: there are no images for {split}."

    def _images(self, split: str) -> _Images:
        if split not in self._splits:
            raise DataError(self.missing_split(split))
        return self._splits[split]
