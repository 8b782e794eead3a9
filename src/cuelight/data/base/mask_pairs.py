"""Pairs of images and masks: files of the same name in two folders."""

from __future__ import annotations

import logging
import os
from pathlib import Path

from cuelight.data.base.folders import OnError, require_folder, split_folders
from cuelight.data.finding import UnusedFiles, walk_images
from cuelight.errors import DataError

logger = logging.getLogger(__name__)

# Lossless formats that keep the values as they are; a GIF may renumber the palette.
_MASK_SUFFIXES = (".png", ".bmp", ".tif", ".tiff")
LAYOUT = (
    "Expected the folders images and masks in it, or the same in each of train, val and test, or train, val and test "
    "in each of images and masks; the mask of images/1.jpg is masks/1.png."
)


def find_mask_splits(root: Path) -> dict[str, tuple[Path, Path]]:
    """Return the folders of images and masks of ``train`` and, where they exist, of ``val`` and ``test``.

    Another layout raises ``DataError``.
    """
    require_folder(root, LAYOUT)
    images, masks = root / "images", root / "masks"
    if images.is_dir() and masks.is_dir():
        inner = split_folders(images)
        if not inner:
            return {"train": (images, masks)}
        found = {split: (folder, masks / folder.name) for split, folder in inner.items()}
    else:
        found = {split: (folder / "images", folder / "masks") for split, folder in split_folders(root).items()}
    if "train" not in found:
        names = sorted(entry.name for entry in root.iterdir())
        voc = " VOCSegmentation reads the layout of Pascal VOC." if any(map(_is_of_voc, names)) else ""
        raise DataError(f"{root}: it contains {', '.join(names[:5]) or 'nothing'}. {LAYOUT}{voc}")
    for folder in (folder for pair in found.values() for folder in pair):
        if not folder.is_dir():
            raise DataError(f"{folder}: there is no such folder. {LAYOUT}")
    return found


def _is_of_voc(name: str) -> bool:
    return name == "SegmentationClass" or name.startswith(("VOC1", "VOC2", "VOCdevkit"))


def pair_masks(
    images: Path, masks: Path, on_error: OnError = "raise", unused: UnusedFiles | None = None
) -> list[tuple[str, str]]:
    """Pair images and masks by their relative paths without extension; return the sorted pairs.

    An image without a mask or a mask without an image raises ``DataError``; with ``on_error="skip"`` it is left out
    with a warning. If there are no pairs, or two masks of one name, ``DataError`` is raised. Files of other formats are
    counted in ``unused``.
    """
    unused = unused or UnusedFiles(images)
    pictures = {path: _key(path, images) for path in sorted(walk_images(images, unused))}
    found = _masks_by_name(masks, unused)
    if not pictures:
        raise DataError(f"{images}: there is no image in this folder. {LAYOUT}")
    alone = [path for path, key in pictures.items() if key not in found]
    orphans = sorted(found[key] for key in found.keys() - set(pictures.values()))
    _refuse(
        alone, "an image without a mask", f"expected {masks / _key(alone[0], images)}.png" if alone else "", on_error
    )
    _refuse(orphans, "a mask without an image", f"expected an image of this name in {images}", on_error)
    pairs = [(path, found[key]) for path, key in pictures.items() if key in found]
    if not pairs:
        raise DataError(f"{images}: none of the images has a mask in {masks}. {LAYOUT}")
    return pairs


def _masks_by_name(folder: Path, unused: UnusedFiles) -> dict[str, str]:
    found: dict[str, str] = {}
    for path in sorted(walk_images(folder, unused)):
        if not path.lower().endswith(_MASK_SUFFIXES):
            unused.add_file(path)
            continue
        first = found.setdefault(_key(path, folder), path)
        if first != path:
            raise DataError(f"{path}: there is a second mask for the same image, {first}. Remove one of them.")
    return found


def _refuse(paths: list[str], what: str, expected: str, on_error: OnError) -> None:
    if not paths:
        return
    others = f", the first of {len(paths)}" if len(paths) > 1 else ""
    if on_error == "raise":
        raise DataError(
            f"{paths[0]}: this is {what}{others}; {expected}. Add the missing file, remove this one, or set "
            "on_error: skip."
        )
    logger.warning("%s: skipped as %s%s", paths[0], what, others)


def _key(path: str, folder: Path) -> str:
    return os.path.splitext(os.path.relpath(path, folder))[0]  # noqa: PTH122 - of 10^6 files
