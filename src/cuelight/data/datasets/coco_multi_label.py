"""Images and the classes in each, in the format of COCO."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cuelight.data.base.box_annotations import RELATIVE, WHOLE, AnnotatedImage, AnnotationErrors, Annotations
from cuelight.data.base.multi_label_file_data_module import MultiLabelFileDataModule
from cuelight.data.datasets.coco import PerSplit, read_coco


class CocoMultiLabel(MultiLabelFileDataModule):
    """Images with the categories of their annotations in JSON files of the format of COCO (Lin et al., 2014).

    A class is in an image if one of its annotations is of this category, whether it is a crowd or has a box or not.
    Files are found as by :class:`~cuelight.data.datasets.coco.CocoDetection`.

    Args:
        path: The folder.
        annotations: The JSON file of each of ``train``, ``val`` and ``test``, or that of ``train``, relative to
            ``path``; found by its name if left out.
        images: The folder to which the names of images in a JSON file are relative, for each split or for all; found if
            left out.
        **options: As for :class:`~cuelight.data.base.multi_label_file_data_module.MultiLabelFileDataModule`.
    """

    def __init__(
        self,
        path: str | Path,
        annotations: str | PerSplit | None = None,
        images: str | PerSplit | None = None,
        **options: Any,
    ) -> None:
        super().__init__(path, **options)
        self.annotations = annotations
        self.images = images

    def read_annotations(self, errors: AnnotationErrors) -> Annotations:
        """Return the images of ``train`` and, where there are such files, of ``val`` and ``test``."""
        read = read_coco(Path(self.path), self.annotations, self.images, errors)
        return read._replace(splits={split: list(map(_of_whole, images)) for split, images in read.splits.items()})


def _of_whole(image: AnnotatedImage) -> AnnotatedImage:
    objects = [each._replace(box=WHOLE, crowd=False) for each in image.objects]
    return image._replace(size=RELATIVE, objects=objects)
