"""Images and masks in the layout of the Pascal VOC challenge."""

from __future__ import annotations

import logging
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from cuelight.data.base.folders import report_unused, require_folder
from cuelight.data.base.mask_file_data_module import MaskFileDataModule
from cuelight.data.base.mask_files import Color, MaskFiles
from cuelight.data.base.voc_layout import find_root, images_by_name, read_label_map, read_lists
from cuelight.data.finding import UnusedFiles, is_file
from cuelight.errors import DataError

logger = logging.getLogger(__name__)

VOC_CLASSES = (
    "background", "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow",
    "diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor",
)  # fmt: skip

_LISTS = Path("ImageSets", "Segmentation")
_LAYOUT = (
    "Expected the folders JPEGImages, SegmentationClass and ImageSets/Segmentation in it, or in VOCdevkit/VOC2012 "
    "below it."
)


class VOCSegmentation(MaskFileDataModule):
    """Images and masks in the layout of Pascal VOC.

    The challenge is that of Everingham et al., 2010, The Pascal Visual Object Classes (VOC) Challenge.

    The images are in ``JPEGImages``, their masks in ``SegmentationClass``, and the files ``train.txt``, ``val.txt`` and
    ``test.txt`` in ``ImageSets/Segmentation`` list the names of each split. ``trainval.txt`` is used where there is no
    ``train.txt``, and ``test.txt`` if there are masks for it, which the challenge does not publish. A missing val or
    test split is taken from the training images.

    CVAT exports masks with a file ``labelmap.txt``, which has the name and the color of each class.

    Args:
        path: The folder that holds them, or one above: that of ``VOCdevkit``, or of ``VOC2012``.
        test_split: Share of the training images that becomes test where there is none; with 0 there is no test.
        **options: As for :class:`~cuelight.data.base.mask_file_data_module.MaskFileDataModule`. The classes are
            those of ``labelmap.txt``, or else the 20 of the challenge after a background, unless ``class_names`` has
            others.
    """

    def __init__(self, path: str | Path, test_split: Annotated[float, Field(ge=0, lt=1)] = 0.0, **options: Any) -> None:
        super().__init__(path, test_split=test_split, **options)

    @property
    def class_names(self) -> list[str]:
        """The name of each class, in the order of the values in the masks."""
        return list(self._class_names or self._label_map or VOC_CLASSES)

    def list_files(self) -> dict[str, MaskFiles]:
        """Return the files of ``train`` and, where they exist, of ``val`` and ``test``."""
        path = Path(self.path)
        require_folder(path, _LAYOUT)
        root = find_root(path, _LISTS)
        if root is None:
            raise DataError(f"{path}: there is no {_LISTS}. {_LAYOUT}")
        for folder in ("JPEGImages", "SegmentationClass"):
            require_folder(root / folder, _LAYOUT)
        names = read_lists(root / _LISTS, _LAYOUT)
        unused = UnusedFiles(root)
        images = images_by_name(root / "JPEGImages", unused)
        masks = images_by_name(root / "SegmentationClass", unused)
        report_unused(unused, root)
        if not any(name in masks for name in names.get("test", ())):
            names.pop("test", None)
        lists = root / _LISTS
        return {split: self._files(listed, images, masks, f"{lists}: {split}") for split, listed in names.items()}

    @cached_property
    def _label_map(self) -> dict[str, Color]:
        file = (find_root(Path(self.path), _LISTS) or Path(self.path)) / "labelmap.txt"
        return read_label_map(file) if is_file(file) else {}

    def missing_split(self, split: str) -> str:
        """Return the message for a split without images."""
        return (
            f"{self.path}: there are no images for {split}. Add {_LISTS / split}.txt with names of images that have "
            f"masks, or set {split}_split above 0."
        )

    def _files(self, names: list[str], images: dict[str, str], masks: dict[str, str], source: str) -> MaskFiles:
        whole = [name for name in names if name in images and name in masks]
        if len(whole) < len(names):
            first = next(name for name in names if name not in images or name not in masks)
            folder = "JPEGImages" if first not in images else "SegmentationClass"
            found = f"{source}: {len(names) - len(whole)} of {len(names)} names have no image or no mask"
            if self.on_error == "raise" or not whole:
                raise DataError(
                    f"{found}, such as {first}, which is missing in {folder}. Add the files, remove the lines, or "
                    "set on_error: skip."
                )
            logger.warning("%s: skipped, such as %s", found, first)
        colors = [self._label_map[name] for name in self.class_names if name in self._label_map]
        if self._label_map and len(colors) < len(self.class_names):
            raise DataError(
                f"{self.path}: labelmap.txt has the classes {', '.join(self._label_map)}, but data.params.class_names "
                f"has {', '.join(self.class_names)}. Correct the names, or remove class_names."
            )
        paths, mask_paths = [images[name] for name in whole], [masks[name] for name in whole]
        return MaskFiles(paths, mask_paths, self.class_names, self.value_range, colors)
