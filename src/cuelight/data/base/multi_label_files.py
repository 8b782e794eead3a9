"""Image files with the classes in each."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from operator import attrgetter

import numpy as np
from numpy.typing import NDArray

from cuelight.data.base.box_annotations import AnnotatedImage, AnnotatedObject
from cuelight.data.base.image_files import ImageFiles
from cuelight.data.base.splits import rarest_labels
from cuelight.data.targets.multi_labels import PRESENT, UNKNOWN
from cuelight.images.value_range import ValueRange

Labels = NDArray[np.float32]


class MultiLabelFiles(ImageFiles):
    """Image files with labels each: float32 ``(C,)``, 1 for a class in the image, 0 for none, -1 if unknown."""

    @classmethod
    def of_images(
        cls,
        images: Sequence[AnnotatedImage],
        class_names: Sequence[str],
        value_range: ValueRange | None,
        known: Collection[str],
    ) -> MultiLabelFiles:
        """Label images by the names of their objects, all of which are in ``class_names``.

        Classes that are not ``known`` to the data are unknown in each image.
        """
        label_of = {name: label for label, name in enumerate(class_names)}
        empty = np.array([0.0 if name in known else UNKNOWN for name in class_names], np.float32)
        labels = [_labels(image.objects, label_of, empty) for image in images]
        return cls([image.path for image in images], labels, value_range)

    def seen_labels(self) -> NDArray[np.int64]:
        """Return the label of every class in every image."""
        return np.concatenate([np.empty(0, np.int64), *self._present()])

    def rarest_labels(self) -> list[int]:
        """Return for each image the label of its class that the fewest images have; -1 without any."""
        return rarest_labels(self._present())

    def _present(self) -> list[NDArray[np.int64]]:
        return [np.flatnonzero(labels == PRESENT) for labels in self.labels]


def _labels(objects: Iterable[AnnotatedObject], label_of: Mapping[str, int], empty: Labels) -> Labels:
    labels = empty.copy()
    for each in sorted(objects, key=attrgetter("crowd"), reverse=True):  # of joined classes, one is enough
        labels[label_of[each.name]] = UNKNOWN if each.crowd else PRESENT
    return labels
