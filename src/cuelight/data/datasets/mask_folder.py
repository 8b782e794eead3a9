"""Images in one folder, and their masks in another."""

from __future__ import annotations

from itertools import chain
from pathlib import Path

from cuelight.data.base.folders import report_unused
from cuelight.data.base.mask_file_data_module import MaskFileDataModule, class_name_problem
from cuelight.data.base.mask_files import MaskFiles
from cuelight.data.base.mask_pairs import find_mask_splits, pair_masks
from cuelight.data.base.text_lines import read_lines
from cuelight.data.finding import UnusedFiles
from cuelight.errors import DataError

CLASS_FILE = "classes.txt"


class MaskFolder(MaskFileDataModule):
    """Images in a folder ``images``, and a mask of the same name for each in a folder ``masks``.

    ``path/images/1.jpg`` and ``path/masks/1.png``; with folders for train, val and test it is
    ``path/train/images/1.jpg`` or ``path/images/train/1.jpg``. A missing val or test split is taken from the training
    images. A mask is a grey or palette image, as PNG, whose pixels hold the index of their class, or 255 for pixels
    that belong to no class and are ignored.

    The names of the classes are those in ``class_names``, or in the file ``path/classes.txt``, one a line.
    """

    @property
    def class_names(self) -> list[str]:
        """The name of each class, in the order of the values in the masks.

        Raises:
            DataError: The names are neither given nor in the file.
        """
        if self._class_names is None:
            self._class_names = _read_class_names(Path(self.path))
        return list(self._class_names)

    def list_files(self) -> dict[str, MaskFiles]:
        """Return the files of ``train`` and, where they exist, of ``val`` and ``test``."""
        root = Path(self.path)
        found, unused = find_mask_splits(root), UnusedFiles(root)
        listed = {split: self._pair(images, masks, unused) for split, (images, masks) in found.items()}
        report_unused(unused, root, chain(*found.values()), known=[CLASS_FILE])
        return listed

    def missing_split(self, split: str) -> str:
        """Return the message for a split without images."""
        return (
            f"{self.path}: there are no images for {split}. Add a folder {split} with images and masks, set "
            f"{split}_split above 0, or add images: a split needs at least three."
        )

    def _pair(self, images: Path, masks: Path, unused: UnusedFiles) -> MaskFiles:
        pairs = pair_masks(images, masks, self.on_error, unused)
        paths, mask_paths = [image for image, _ in pairs], [mask for _, mask in pairs]
        return MaskFiles(paths, mask_paths, self.class_names, self.value_range)


def _read_class_names(root: Path) -> list[str]:
    file = root / CLASS_FILE
    if not file.exists():
        raise DataError(
            f"{root}: the class names are missing. Set data.params.class_names to the name of each mask value, such as "
            f"[background, cat, dog] for 0, 1 and 2, or write the names to {file}, one per line."
        )
    names = read_lines(file)
    if problem := class_name_problem(names):
        raise DataError(f"{file}: {problem}")
    return names
