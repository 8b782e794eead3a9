"""A folder of images, and a CSV file with the classes of each."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cuelight.data.base.box_annotations import AnnotationErrors, Annotations
from cuelight.data.base.folders import report_unused, require_folder
from cuelight.data.base.label_table import read_label_table
from cuelight.data.base.multi_label_file_data_module import MultiLabelFileDataModule
from cuelight.data.finding import UnusedFiles, walk_images
from cuelight.errors import DataError

_LAYOUT = "Expected images, and a CSV file with the path and the classes of each."


class MultiLabelFolder(MultiLabelFileDataModule):
    """Images in a folder, with any number of classes each in a CSV file.

    The first line has the names of the columns. The first column has the paths of the images. Then there is either a
    column for each class, with 1 if it is in the image, 0 if not, and -1 or nothing if that is unknown; or a column
    ``labels`` with the names of the classes, separated by ``|`` or ``;``. A column ``split`` may have train, val or
    test. A missing val or test split is taken from the training images.

    Args:
        path: The folder, to which the paths of the images are relative.
        annotations: The CSV file, relative to ``path``; the only one in it if left out.
        **options: As for :class:`~cuelight.data.base.multi_label_file_data_module.MultiLabelFileDataModule`. If
            ``classes`` are set, other columns may have anything.
    """

    def __init__(self, path: str | Path, annotations: str | None = None, **options: Any) -> None:
        super().__init__(path, **options)
        self.annotations = annotations

    def read_annotations(self, errors: AnnotationErrors) -> Annotations:
        """Return the images of ``train`` and, where the file has them, of ``val`` and ``test``."""
        root = Path(self.path)
        require_folder(root, _LAYOUT)
        file = root / self.annotations if self.annotations else _find_table(root)
        read = read_label_table(file, root, errors, self.classes)
        unused = UnusedFiles(root, ignored=(".csv",))
        used = {image.path for images in read.splits.values() for image in images}
        for path in sorted(set(walk_images(root, unused)) - used):
            unused.add_without_annotation(path)
        report_unused(unused, root)
        return read


def _find_table(root: Path) -> Path:
    files = sorted(file for file in root.glob("*.csv") if not file.name.startswith("."))
    if len(files) != 1:
        found = " and ".join(file.name for file in files[:5]) or "no CSV file"
        raise DataError(f"{root}: found {found}. Set data.params.annotations to the CSV file. {_LAYOUT}")
    return files[0]
