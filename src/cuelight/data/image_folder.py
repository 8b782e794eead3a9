"""Images in folders that are named after their class."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, ClassVar

from pydantic import Field

from cuelight.data import folders
from cuelight.data.fingerprints import fingerprint_of_files
from cuelight.data.in_splits import DataInSplits
from cuelight.data.photo_preprocessing import Size, photo_preprocessing
from cuelight.data.reading import ImageFiles
from cuelight.data.splits import split_off_missing
from cuelight.preprocessing import ColorOrder, Preprocessing, ResizeMode
from cuelight.registry import TransformPart


class ImageFolder(DataInSplits[ImageFiles]):
    """Images in folders named after their class, with or without folders for train, val and test above them.

    ``path/train/cat/1.jpg`` with ``path/val`` and ``path/test`` beside ``train``, or ``path/cat/1.jpg``. What is
    missing of val and test is split off the training images, by class.

    Args:
        path: The folder.
        size: Height and width in pixels that the model sees; one number for a square.
        mean: Mean of each channel on the 0-1 scale, in the order of ``color``; that of ImageNet if left out.
        std: Standard deviation of each channel on the 0-1 scale; that of ImageNet if left out.
        color: Order of the channels that the model sees.
        resize: ``crop`` scales the shorter side and cuts the middle out, ``letterbox`` scales the longer side and
            fills with black, ``stretch`` ignores the aspect ratio.
        transforms: Augmentation of the training images, by the names of ``torchvision.transforms.v2``, in order.
            With one that crops or resizes, such as RandomResizedCrop, they see the image as it was read; otherwise
            they see it at its final size.
        val_split: Share of the training images that becomes validation where there is no folder val.
        test_split: Share that becomes test where there is no folder test; with 0 there is no test.
        split_seed: Chooses which images these are. It does not follow ``seed``, so that results of runs with
            different seeds can be compared.
        on_error: ``raise`` stops at an image that cannot be read, at a class without images, and at a class that
            training does not know. ``skip`` leaves them out and logs how many: in training the next image takes the
            place of one that cannot be read, in validation and test it counts nowhere.
        batch_size: Images per batch and device.
        num_workers: Processes that load images, for each of train, val and test.
        seed: Seed of the order and of augmentation.
    """

    task: ClassVar[str] = "classification"

    def __init__(
        self,
        path: str | Path,
        size: Size = 224,
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
        color: ColorOrder = "RGB",
        resize: ResizeMode = "crop",
        transforms: list[TransformPart] | None = None,
        val_split: Annotated[float, Field(gt=0, lt=1)] = 0.15,
        test_split: Annotated[float, Field(ge=0, lt=1)] = 0.15,
        split_seed: int = 0,
        on_error: folders.OnError = "raise",
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
        self._class_names: list[str] | None = None

    @property
    def class_names(self) -> list[str]:
        """The names of the class folders of training, sorted.

        Raises:
            DataError: There is no such folder, or no class in it.
        """
        if self._class_names is None:
            folder = folders.find_splits(Path(self.path))["train"]
            self._class_names = folders.find_classes(folder, self.on_error)
        return list(self._class_names)

    @property
    def preprocessing(self) -> Preprocessing:
        """How the model sees an image."""
        return photo_preprocessing(self.size, self.mean, self.std, self.color, self.resize)

    def setup(self, stage: str | None = None) -> None:
        """List the files and split them; no image is read.

        Args:
            stage: Any; all is listed at once.

        Raises:
            DataError: The folder is not laid out as it has to be; names what is wrong.
        """
        if self._splits:
            return
        found = folders.find_splits(Path(self.path))
        listed = {split: self._list(folder) for split, folder in found.items()}
        ratios = {"val": self.val_split, "test": self.test_split}
        splits = split_off_missing(listed, listed["train"].labels, ratios, self.split_seed, str(self.path))
        self.take_splits(splits, skip_unreadable=self.on_error == "skip")

    def fingerprint(self) -> str:
        """Tell which images they are, and which class and split each is in.

        Returns:
            The same text for the same images on any machine; known after ``setup``.

        Raises:
            DataError: A file cannot be read.
        """
        return fingerprint_of_files(Path(self.path), self._splits, self.class_names)

    def missing_split(self, split: str) -> str:
        """Say that a split has no images, and what to do.

        Args:
            split: ``train``, ``val`` or ``test``.

        Returns:
            The message.
        """
        return (
            f"{self.path}: there are no images for {split}. Add a folder {split} with one folder per class, set "
            f"{split}_split above 0, or add images: a class needs three to be split."
        )

    def _list(self, folder: Path) -> ImageFiles:
        files = folders.list_classes(folder, self.class_names, self.on_error)
        paths = [path for of_class in files for path in of_class]
        return ImageFiles(paths, [label for label, of_class in enumerate(files) for _ in of_class])
