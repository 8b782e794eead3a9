"""Base of the data modules that read image files with boxes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import Field

from cuelight.data.base.annotated_file_data_module import AnnotatedFileDataModule
from cuelight.data.base.box_annotations import AnnotatedImage
from cuelight.data.base.box_files import BoxFiles
from cuelight.data.targets.box_mixing import BoxMixing, Probability
from cuelight.data.targets.boxes import Boxes


class BoxFileDataModule(AnnotatedFileDataModule[BoxFiles]):
    """Image files whose objects have boxes; a missing split is taken from the training images.

    A subclass reads its files in ``read_annotations``.

    Args:
        path: The folder.
        size: Height and width in pixels that the model sees; one number for a square.
        min_visible: A box is dropped if less than this share of its area is left inside the image.
        mosaic: Probability that a training image is a mosaic of four.
        mixup: Probability that a training image is the mean of two.
        close_mosaic: Number of epochs at the end of the training without mosaic and mixup.
        **options: As for :class:`~cuelight.data.base.annotated_file_data_module.AnnotatedFileDataModule`. Transforms
            that move the image move its boxes. In images that are kept without objects, every detection is wrong.
    """

    task: ClassVar[str] = "detection"
    target_kind = Boxes()
    with_points: ClassVar[bool] = False

    def __init__(
        self,
        path: str | Path,
        size: Annotated[int, Field(ge=1)] | tuple[int, int] = 416,
        min_visible: Probability = 0.1,
        mosaic: Probability = 0.0,
        mixup: Probability = 0.0,
        close_mosaic: Annotated[int, Field(ge=0)] = 10,
        **options: Any,
    ) -> None:
        super().__init__(path, size=size, **options)
        self.min_visible = min_visible
        self.target_kind = kind = Boxes(min_visible)
        self.mixing = BoxMixing(kind, mosaic, mixup, close_mosaic) if mosaic or mixup else None

    def make_files(self, images: Sequence[AnnotatedImage]) -> BoxFiles:
        """Return images with their boxes, and with their points if the data has some."""
        skeleton = self._read().skeleton
        return BoxFiles.of_images(images, self.class_names, self.value_range, len(skeleton.names) if skeleton else 0)

    def fingerprint(self) -> str:
        """Return a hash of the images, their objects and the split of each; known after ``setup``.

        Raises:
            DataError: A file cannot be read.
        """
        names = self.class_names
        return self.hash_splits({split: _described(files, names) for split, files in self._splits.items()})


def _described(files: BoxFiles, names: Sequence[str]) -> Iterator[tuple[str, str]]:
    for path, objects in zip(files.paths, files.objects, strict=True):
        listed = zip(objects.boxes.tolist(), objects.labels.tolist(), objects.crowd.tolist(), strict=True)
        text = "\n".join(f"{names[label]} {box} {crowd}" for box, label, crowd in listed)
        yield path, text if objects.points is None else f"{text}\n{objects.points.tolist()}"
