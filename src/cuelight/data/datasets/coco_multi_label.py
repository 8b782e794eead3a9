"""Images and the classes in each, in the format of COCO."""

from __future__ import annotations

from cuelight.data.base.box_annotations import RELATIVE, WHOLE, AnnotatedImage, AnnotationErrors, Annotations
from cuelight.data.base.multi_label_file_data_module import MultiLabelFileDataModule
from cuelight.data.datasets.coco import CocoFiles


class CocoMultiLabel(CocoFiles, MultiLabelFileDataModule):
    """Images with the categories of their annotations in JSON files of the format of COCO (Lin et al., 2014).

    A class is in an image if one of its annotations is of this category, whether it is a crowd or has a box or not.
    Files are found as by :class:`~cuelight.data.datasets.coco.CocoFiles`.

    Args:
        **options: As for CocoFiles and for
            :class:`~cuelight.data.base.multi_label_file_data_module.MultiLabelFileDataModule`.
    """

    def read_annotations(self, errors: AnnotationErrors) -> Annotations:
        """Return the images of ``train`` and, where there are such files, of ``val`` and ``test``."""
        read = super().read_annotations(errors)
        return read._replace(splits={split: list(map(_of_whole, images)) for split, images in read.splits.items()})


def _of_whole(image: AnnotatedImage) -> AnnotatedImage:
    objects = [each._replace(box=WHOLE, crowd=False) for each in image.objects]
    return image._replace(size=RELATIVE, objects=objects)
