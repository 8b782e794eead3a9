"""Base of the data modules that read image files."""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Protocol, TypeVar

from pydantic import Field

from cuelight.data.base.fingerprints import hash_files
from cuelight.data.base.folders import OnError
from cuelight.data.base.image_data_module import ImageDataModule
from cuelight.data.base.splits import (
    VAL_SPLIT,
    Divisible,
    split_off_missing,
    split_problems,
    take_fold,
    warn_of_shared_groups,
)
from cuelight.data.loading.samples import Images
from cuelight.data.loading.transforms import float_problems
from cuelight.data.reading import portable_name
from cuelight.errors import ConfigError, DataError, Problem
from cuelight.images.preprocessing import IMAGENET_MEAN, IMAGENET_STD, ColorOrder, Preprocessing, ResizeMode
from cuelight.images.value_range import ValueRange, range_problem
from cuelight.registry import TransformPart
from cuelight.utils.words import first_of

# The luma of ImageNet.
_GRAY_MEAN = (0.449,)
_GRAY_STD = (0.226,)
_MOST_NAMED = 3


class Files(Images, Divisible, Protocol):
    """Image files of which a subset can be taken."""

    paths: list[str]


_Files = TypeVar("_Files", bound=Files)


class ImageFileDataModule(ImageDataModule[_Files]):
    """Image files in a folder; a missing split is taken from the training images.

    A subclass returns its files in :meth:`list_files`.

    Args:
        path: The folder.
        size: Height and width in pixels that the model sees; one number for a square.
        mean: Mean of each channel on the 0-1 scale, in the order of ``color``; that of ImageNet if left out.
        std: Standard deviation of each channel on the 0-1 scale; that of ImageNet if left out.
        color: Order of the channels that the model sees.
        resize: ``crop`` scales the shorter side and cuts the middle out, ``letterbox`` scales the longer side and
            fills with black, ``stretch`` ignores the aspect ratio.
        transforms: Augmentation of the training images, by the names of ``torchvision.transforms.v2``, in order.
            If one crops or resizes, such as RandomResizedCrop, images are augmented at their original size; otherwise
            at their final size.
        val_split: Share of the training images that becomes validation where there is none.
        test_split: Share that becomes test where there is none; with 0 there is no test.
        split_seed: Seed of the choice of these images. It does not follow ``seed``, so that results of runs with
            different seeds can be compared.
        group_by: A regular expression with one group in parentheses, such as ``person([0-9]+)_``. It is searched in the
            path of each image, relative to ``path``. Images for which the group matches the same text, such as those
            of one person or video, are in the same split.
        folds: Number of folds of a cross-validation: validation is one of so many parts of the training images, which
            have about the same size and share of each class. Test is taken before.
        fold: The number of this part, from 0.
        on_error: ``raise`` stops at an image that cannot be read. ``skip`` leaves it out and logs how many: in
            training the next image takes its place, in validation and test it counts nowhere.
        value_range: The values of black and white in images of more than 8 bits per pixel, such as ``(0, 4095)`` for a
            sensor of 12 bits; without it they cannot be read.
        batch_size: Images per batch and device.
        num_workers: Processes that load images, for each of train, val and test.
        seed: Seed of the order and of augmentation.

    Attributes:
        taken_from_training: The splits that were taken from the training images; known after ``setup``.
    """

    def __init__(
        self,
        path: str | Path,
        size: Annotated[int, Field(ge=1)] | tuple[int, int] = 224,
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
        color: ColorOrder = "RGB",
        resize: ResizeMode = "crop",
        transforms: list[TransformPart] | None = None,
        val_split: Annotated[float, Field(gt=0, lt=1)] = VAL_SPLIT,
        test_split: Annotated[float, Field(ge=0, lt=1)] = 0.15,
        split_seed: int = 0,
        group_by: str | None = None,
        folds: Annotated[int, Field(ge=2)] | None = None,
        fold: Annotated[int, Field(ge=0)] = 0,
        on_error: OnError = "raise",
        value_range: ValueRange | None = None,
        batch_size: int = 32,
        num_workers: int = 2,
        seed: int = 42,
    ) -> None:
        super().__init__(transforms, batch_size, num_workers, seed)
        self.path = path
        self.size = size
        self.mean = mean
        self.std = std
        self.color = color
        self.resize = resize
        self.val_split = val_split
        self.test_split = test_split
        self.split_seed = split_seed
        self.group_by = group_by
        self.folds = folds
        self.fold = fold
        self.on_error = on_error
        self.taken_from_training: list[str] = []
        self.value_range = value_range
        self.images_also_in_train: dict[str, int] = {}

    @classmethod
    def parameter_problems(cls, params: Mapping[str, Any], path: str) -> list[Problem]:
        """Report wrong folds and groups, a wrong value range, and transforms that fail on the images that it gives."""
        problems = super().parameter_problems(params, path) + split_problems(params, path)
        value_range = params.get("value_range")
        if value_range is None:
            return problems
        if problem := range_problem(value_range):
            problems.append(Problem(problem, f"{path}.value_range"))
        return problems + float_problems(params.get("transforms"), f"{path}.transforms")

    @property
    def preprocessing(self) -> Preprocessing:
        """How an image is prepared for the model.

        Raises:
            ConfigError: A value is out of its range, or mean and std do not have one number per channel.
        """
        mean, std = (_GRAY_MEAN, _GRAY_STD) if self.color == "GRAY" else (IMAGENET_MEAN, IMAGENET_STD)
        order = -1 if self.color == "BGR" else 1
        return Preprocessing(
            size=(self.size, self.size) if isinstance(self.size, int) else (self.size[0], self.size[1]),
            mean=mean[::order] if self.mean is None else tuple(self.mean),
            std=std[::order] if self.std is None else tuple(self.std),
            color=self.color,
            resize=self.resize,
            value_range=self.value_range,
        )

    @property
    def images_root(self) -> Path:
        """The folder or the file to which the names of the images are relative."""
        return Path(self.path)

    @abstractmethod
    def list_files(self) -> dict[str, _Files]:
        """Return the files of ``train`` and, where they exist, of ``val`` and ``test``.

        Raises:
            DataError: The files are not laid out as expected.
        """

    def stratify_labels(self, train: _Files) -> Sequence[int]:
        """Return a label for each training image, by which splits are stratified; here all are equal."""
        return [0] * len(train)

    def group_names(self, files: _Files) -> list[str] | None:
        """Return the group of each image, all of which are in the same split; ``None`` without groups.

        Raises:
            DataError: ``group_by`` does not match the path of an image.
        """
        if self.group_by is None:
            return None
        root = self.images_root.parent if self.images_root.is_file() else self.images_root
        names = [portable_name(path, root) for path in files.paths]
        found = [match[1] if (match := re.search(self.group_by, name)) else None for name in names]
        if others := [name for name, group in zip(names, found, strict=True) if not group]:
            raise DataError(
                f"{self.path}: data.params.group_by: {self.group_by} finds no group in the path of {len(others)} of "
                f"{len(names)} images: {first_of(others, _MOST_NAMED)}. Correct the expression, or rename the files."
            )
        return [group for group in found if group]

    def check_files(self, train: _Files) -> None:
        """Check the training files before they are split; by default, nothing is checked.

        Raises:
            DataError: The files are not as expected.
        """

    def hash_splits(self, entries: Mapping[str, Iterable[tuple[str, str]]]) -> str:
        """Return a fingerprint of the files of each split, each with a text; and count repeated images.

        Raises:
            DataError: A file cannot be read.
        """
        hashed = hash_files(self.images_root, entries)
        self.images_also_in_train = hashed.also_in_train({split: files.paths for split, files in self._splits.items()})
        return hashed.fingerprint

    def setup(self, stage: str | None = None) -> None:
        """List and split the files of all stages at once."""
        if self._splits:
            return
        listed = self.list_files()
        self.check_files(listed["train"])
        if not len(listed["train"]):
            raise DataError(f"{self.path}: there are no images for training. Add images with labels.")
        splits = self._split(listed)
        self.taken_from_training = [split for split, files in splits.items() if split not in listed and len(files)]
        self.take_splits(splits, skip_unreadable=self.on_error == "skip")

    def _split(self, listed: Mapping[str, _Files]) -> Mapping[str, _Files]:
        if problems := split_problems(vars(self), "data.params"):
            raise ConfigError(problems)
        train, seed, source = listed["train"], self.split_seed, str(self.path)
        if self.folds and "val" in listed:
            raise DataError(
                f"{source}: data.params.folds takes validation from the training images, but there is a validation "
                "split already. Remove folds, or move these images to the training images."
            )
        ratios = {"test": self.test_split} if self.folds else {"val": self.val_split, "test": self.test_split}
        labels, groups = self.stratify_labels(train), self.group_names(train)
        splits = split_off_missing(listed, labels, ratios, seed, source, groups)
        if self.folds:
            rest = splits["train"]
            labels, groups = self.stratify_labels(rest), self.group_names(rest)
            splits |= take_fold(rest, labels, self.folds, self.fold, seed, source, groups)
        warn_of_shared_groups({split: self.group_names(files) or () for split, files in splits.items()})
        return splits
