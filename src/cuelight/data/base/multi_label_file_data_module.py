"""Base of the data modules that read image files with several classes each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import ClassVar

from cuelight.data.base.annotated_file_data_module import AnnotatedFileDataModule
from cuelight.data.base.box_annotations import AnnotatedImage
from cuelight.data.base.multi_label_files import MultiLabelFiles
from cuelight.data.targets.multi_labels import MULTI_LABELS


class MultiLabelFileDataModule(AnnotatedFileDataModule[MultiLabelFiles]):
    """Image files with any number of classes each; a missing split is taken from the training images.

    A subclass reads its files in ``read_annotations``: each object is a class of the image, ``crowd`` if unknown.

    Args:
        **options: As for :class:`~cuelight.data.base.annotated_file_data_module.AnnotatedFileDataModule`.
    """

    task: ClassVar[str] = "multilabel"
    target_kind = MULTI_LABELS

    def make_files(self, images: Sequence[AnnotatedImage]) -> MultiLabelFiles:
        """Return images with their labels; those of classes that only the model has are unknown."""
        return MultiLabelFiles.of_images(images, self.class_names, self.value_range, set(self._new_names().values()))

    def fingerprint(self) -> str:
        """Return a hash of the images, their labels and the split of each; known after ``setup``.

        Raises:
            DataError: A file cannot be read.
        """
        names = self.class_names
        return self.hash_splits({split: _described(files, names) for split, files in self._splits.items()})


def _described(files: MultiLabelFiles, names: Sequence[str]) -> Iterator[tuple[str, str]]:
    for path, labels in zip(files.paths, files.labels, strict=True):
        yield path, "\n".join(f"{name} {label:g}" for name, label in zip(names, labels.tolist(), strict=True) if label)
