"""What data modules of image and mask files do alike."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import Field

from cuelight.data.fingerprints import fingerprint_of_masks
from cuelight.data.folders import OnError
from cuelight.data.in_splits import DataInSplits
from cuelight.data.mask_reading import MaskFiles, refuse_masks_without_classes
from cuelight.data.photo_preprocessing import Size, photo_preprocessing
from cuelight.data.splits import split_off_missing
from cuelight.data.transforms import mask_problems
from cuelight.errors import Problem
from cuelight.preprocessing import IGNORE_INDEX, ColorOrder, Preprocessing, ResizeMode
from cuelight.registry import TransformPart


class MasksInFiles(DataInSplits[MaskFiles]):
    """Image files with a mask file each, in which each pixel holds the index of its class.

    A subclass tells which files there are. In the masks, 255 stands for pixels that belong to no class and count
    nowhere.

    Args:
        path: The folder.
        class_names: The name of each class, in the order of the values in the masks.
        size: Height and width in pixels that the model sees; one number for a square.
        mean: Mean of each channel on the 0-1 scale, in the order of ``color``; that of ImageNet if left out.
        std: Standard deviation of each channel on the 0-1 scale; that of ImageNet if left out.
        color: Order of the channels that the model sees.
        resize: ``crop`` scales the shorter side and cuts the middle out, ``letterbox`` scales the longer side and
            fills with black, which counts nowhere, ``stretch`` ignores the aspect ratio.
        transforms: Augmentation of the training images, by the names of ``torchvision.transforms.v2``, in order. What
            moves the image moves its mask. With one that crops or resizes, such as RandomResizedCrop, they see the
            image as it was read; otherwise they see it at its final size.
        val_split: Share of the training images that becomes validation where there is none.
        test_split: Share that becomes test where there is none; with 0 there is no test.
        split_seed: Chooses which images these are. It does not follow ``seed``, so that results of runs with
            different seeds can be compared.
        on_error: ``raise`` stops at an image or a mask that cannot be read, or that is without the other. ``skip``
            leaves them out and logs how many: in training the next image takes the place of one that cannot be read,
            in validation and test it counts nowhere.
        batch_size: Images per batch and device.
        num_workers: Processes that load images, for each of train, val and test.
        seed: Seed of the order and of augmentation.
    """

    task: ClassVar[str] = "segmentation"

    def __init__(
        self,
        path: str | Path,
        class_names: list[str] | None = None,
        size: Size = 224,
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
        color: ColorOrder = "RGB",
        resize: ResizeMode = "crop",
        transforms: list[TransformPart] | None = None,
        val_split: Annotated[float, Field(gt=0, lt=1)] = 0.15,
        test_split: Annotated[float, Field(ge=0, lt=1)] = 0.15,
        split_seed: int = 0,
        on_error: OnError = "raise",
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
        self.on_error = on_error
        self._class_names = class_names

    @classmethod
    def parameter_problems(cls, params: Mapping[str, Any], path: str) -> list[Problem]:
        """Find what the types of the parameters do not tell.

        Args:
            params: The parameters that are set.
            path: Where they are, in dot notation.

        Returns:
            One problem for each.
        """
        names = params.get("class_names")
        problems = mask_problems(params.get("transforms"), f"{path}.transforms")
        if names is not None and (problem := class_name_problem(names)):
            problems.append(Problem(problem, f"{path}.class_names"))
        return problems

    @property
    def preprocessing(self) -> Preprocessing:
        """How the model sees an image."""
        return photo_preprocessing(self.size, self.mean, self.std, self.color, self.resize)

    @property
    @abstractmethod
    def class_names(self) -> list[str]:
        """The name of each class, in the order of the values in the masks."""

    @abstractmethod
    def list_files(self) -> dict[str, MaskFiles]:
        """Find the files.

        Returns:
            Those of ``train``, and of ``val`` and ``test`` where there are such.

        Raises:
            DataError: They are not laid out as they have to be; names what is wrong.
        """

    def setup(self, stage: str | None = None) -> None:
        """List the files and split them; a few masks are read, to see whether they are masks.

        Args:
            stage: Any; all is listed at once.

        Raises:
            DataError: The files are not what they have to be; names what is wrong.
        """
        if self._splits:
            return
        listed = self.list_files()
        refuse_masks_without_classes(listed["train"])
        ratios = {"val": self.val_split, "test": self.test_split}
        splits = split_off_missing(listed, [0] * len(listed["train"]), ratios, self.split_seed, str(self.path))
        self.take_splits(splits, skip_unreadable=self.on_error == "skip")

    def fingerprint(self) -> str:
        """Tell which images and masks they are, and which split each is in.

        Returns:
            The same text for the same files on any machine; known after ``setup``.

        Raises:
            DataError: A file cannot be read.
        """
        return fingerprint_of_masks(Path(self.path), self._splits)


def class_name_problem(names: Sequence[str]) -> str | None:
    """Find what is wrong with the names of classes.

    Args:
        names: The names, in the order of the values in the masks.

    Returns:
        What is wrong; None if nothing is.
    """
    twice = sorted({name for name in names if list(names).count(name) > 1})
    if not names or len(names) > IGNORE_INDEX:
        return f"expected 1 to {IGNORE_INDEX} names of classes, got {len(names)}."
    return (
        f"{', '.join(twice)} stands there more than once; expected a name of its own for each class." if twice else None
    )
