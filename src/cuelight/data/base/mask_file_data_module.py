"""Base of the data modules that read image and mask files."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from cuelight.data.base.image_file_data_module import ImageFileDataModule
from cuelight.data.base.mask_files import MaskFiles, refuse_masks_without_classes
from cuelight.data.reading import portable_name
from cuelight.data.targets.masks import MASKS
from cuelight.errors import Problem
from cuelight.images.preprocessing import IGNORE_INDEX
from cuelight.utils.words import checked_names


class MaskFileDataModule(ImageFileDataModule[MaskFiles]):
    """Image files with a mask file each, in which each pixel holds the index of its class.

    A subclass returns its files in ``list_files``. In the masks, 255 marks pixels that belong to no class and are
    ignored.

    Args:
        path: The folder.
        class_names: The name of each class, in the order of the values in the masks.
        resize: ``crop`` scales the shorter side and cuts the middle out, ``letterbox`` scales the longer side and
            fills with black, which is ignored, ``stretch`` ignores the aspect ratio.
        transforms: Augmentation of the training images, by the names of ``torchvision.transforms.v2``, in order. What
            moves the image moves its mask. If one crops or resizes, such as RandomResizedCrop, images are augmented at
            their original size; otherwise at their final size.
        on_error: ``raise`` stops at an image or a mask that cannot be read, or that is without the other. ``skip``
            leaves them out and logs how many: in training the next image takes the place of one that cannot be read,
            in validation and test it counts nowhere.
        **options: As for :class:`~cuelight.data.base.image_file_data_module.ImageFileDataModule`.
    """

    task: ClassVar[str] = "segmentation"
    target_kind = MASKS

    def __init__(self, path: str | Path, class_names: list[str] | None = None, **options: Any) -> None:
        super().__init__(path, **options)
        self._class_names = class_names

    @classmethod
    def parameter_problems(cls, params: Mapping[str, Any], path: str) -> list[Problem]:
        """Report wrong class names, and transforms that cannot be repeated on a mask."""
        names = params.get("class_names")
        problems = super().parameter_problems(params, path)
        if names is not None and (problem := class_name_problem(names)):
            problems.append(Problem(problem, f"{path}.class_names"))
        return problems

    @property
    @abstractmethod
    def class_names(self) -> list[str]:
        """The name of each class, in the order of the values in the masks."""

    def check_files(self, train: MaskFiles) -> None:
        """Read a few training masks; ``DataError`` if 255 was meant as a class in all masks."""
        refuse_masks_without_classes(train)

    def fingerprint(self) -> str:
        """Return a hash of the images, their masks and the split of each; known after ``setup``.

        Raises:
            DataError: A file cannot be read.
        """
        root = Path(self.path)
        splits = {split: _hashed_entries(files, root) for split, files in self._splits.items()}
        return self.hash_splits(splits)


def class_name_problem(names: Sequence[str]) -> str | None:
    """Return what is wrong with the names of the classes; ``None`` if nothing is."""
    if not names or len(names) > IGNORE_INDEX:
        return f"expected 1 to {IGNORE_INDEX} class names, got {len(names)}."
    try:
        twice = sorted({name for name in checked_names(names) if list(names).count(name) > 1})
    except ValueError as error:
        return f"{error}."
    return f"duplicate class names: {', '.join(twice)}. Expected a different name for each class." if twice else None


def _hashed_entries(files: MaskFiles, root: Path) -> Iterator[tuple[str, str]]:
    for image, mask in zip(files.paths, files.masks, strict=True):
        yield image, portable_name(mask, root)
        yield mask, "\n".join([*files.class_names, *map(str, files.colors)])
