"""What lies in a folder of images: its splits, classes and files, always in the same order."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

from torchvision.datasets.folder import IMG_EXTENSIONS

from cuelight.errors import DataError

logger = logging.getLogger(__name__)

OnError = Literal["raise", "skip"]

_SPLIT_NAMES = {"train": ("train",), "val": ("val", "valid", "validation"), "test": ("test",)}
_LAYOUT = "Expected one folder per class in it, or the folders train, val and test with one folder per class in each."


def find_splits(root: Path) -> dict[str, Path]:
    """Find the folders of the splits.

    Args:
        root: The folder that the user named.

    Returns:
        The folder of ``train``, and those of ``val`` and ``test`` where there are such; ``root`` itself as ``train``
        where it holds the classes.

    Raises:
        DataError: There is no such folder, or it has val or test and no train.
    """
    require_folder(root, _LAYOUT)
    found = {split: folder for split, folder in split_folders(root).items() if _folders_in(folder)}
    if found and "train" not in found and len(found) == len(_folders_in(root)):
        raise DataError(f"{root}: there is {' and '.join(sorted(found))}, but no folder train. {_LAYOUT}")
    return found if "train" in found else {"train": root}


def require_folder(root: Path, layout: str) -> None:
    """Make sure that there is a folder.

    Args:
        root: The folder that the user named.
        layout: What is expected in it, for the message.

    Raises:
        DataError: There is no such folder.
    """
    if not root.exists():
        raise DataError(
            f"{root}: there is no such folder (looked for {root.absolute()}). A relative path is relative to the "
            "working directory; data.params.path=... changes it."
        )
    if not root.is_dir():
        raise DataError(f"{root}: this is a file, not a folder. {layout}")


def split_folders(root: Path) -> dict[str, Path]:
    """Find folders that are named after a split.

    Args:
        root: Where they are.

    Returns:
        The folders of ``train``, ``val`` and ``test``, where there are such; ``valid`` and ``validation`` are ``val``.
    """
    return {split: root / name for split, names in _SPLIT_NAMES.items() for name in names if (root / name).is_dir()}


def find_classes(folder: Path, on_error: OnError = "raise") -> list[str]:
    """Name the classes of a split.

    Args:
        folder: The split.
        on_error: With ``skip``, a class without images is left out, with a warning.

    Returns:
        The names of its folders, sorted; hidden ones left out.

    Raises:
        DataError: There is none.
    """
    names = _folders_in(folder)
    if not names:
        loose = next((entry.name for entry in os.scandir(folder) if _is_image(entry.name)), None)
        seen = f"it holds images, such as {loose}, but no folder" if loose else "there is no folder in it"
        raise DataError(f"{folder}: {seen}. {_LAYOUT}")
    if on_error == "raise":
        return names
    filled = [name for name in names if _holds_images(folder / name)]
    empty = [name for name in names if name not in filled]
    if empty:
        logger.warning("%s: skipped %s without images", folder, _named(empty))
    if not filled:
        raise DataError(f"{folder}: there is no image in any of its folders.")
    return filled


def list_classes(folder: Path, class_names: Sequence[str], on_error: OnError = "raise") -> list[list[str]]:
    """List the images of a split, class by class.

    Args:
        folder: The split.
        class_names: The classes that the training knows.
        on_error: With ``skip``, empty and unknown classes are left out, unknown ones with a warning.

    Returns:
        One sorted list of paths for each class; empty where the split has no such folder.

    Raises:
        DataError: A class folder has no image in it, or is not among the known classes.
    """
    present = _folders_in(folder)
    files = [_list_images(folder / name) if name in present else [] for name in class_names]
    unknown = [name for name in present if name not in class_names and _holds_images(folder / name)]
    if unknown and on_error == "skip":
        logger.warning("%s: skipped %s, which training does not know", folder, _named(unknown))
    elif unknown:
        raise DataError(
            f"{folder}: no training images for {_named(unknown)}. Add a folder of the same name for training, remove "
            "it here, or set on_error: skip."
        )
    empty = [name for name, paths in zip(class_names, files, strict=True) if name in present and not paths]
    if empty and on_error == "raise":
        raise DataError(
            f"{folder}: no images in {_named(empty)}. Add images ({', '.join(IMG_EXTENSIONS)}), remove it, or set "
            "on_error: skip."
        )
    return files


def walk_images(folder: Path) -> Iterator[str]:
    """Find the image files of a folder and of the folders in it.

    Args:
        folder: The folder.

    Yields:
        Their paths, in any order; hidden files left out.
    """
    for parent, _, names in os.walk(folder, followlinks=True):
        yield from (os.path.join(parent, name) for name in names if _is_image(name))  # noqa: PTH118 - of 10^6 files


def _holds_images(folder: Path) -> bool:
    return next(walk_images(folder), None) is not None


def _list_images(folder: Path) -> list[str]:
    return sorted(walk_images(folder))


def _folders_in(folder: Path) -> list[str]:
    return sorted(
        entry.name
        for entry in os.scandir(folder)
        if entry.is_dir() and not entry.name.startswith(".") and entry.name != "__MACOSX"
    )


def _is_image(name: str) -> bool:
    return name.lower().endswith(IMG_EXTENSIONS) and not name.startswith(".")


def _named(classes: Sequence[str]) -> str:
    word = "the class" if len(classes) == 1 else "the classes"
    return f"{word} {', '.join(classes)}"
