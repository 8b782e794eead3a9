"""Splits, classes and files in a folder of images, always in the same order."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal

from cuelight.data.finding import IMAGE_SUFFIXES, UnusedFiles, is_image, walk_images
from cuelight.errors import DataError
from cuelight.utils.words import is_text

logger = logging.getLogger(__name__)

OnError = Literal["raise", "skip"]

SPLIT_OF = {"train": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}
_LAYOUT = "Expected one folder per class in it, or the folders train, val and test with one folder per class in each."


def find_splits(root: Path) -> dict[str, Path]:
    """Return the folders of ``train`` and, where they exist, of ``val`` and ``test``.

    If ``root`` itself holds the classes, it is the folder of ``train``. A missing folder raises ``DataError``, and so
    does val or test without train.
    """
    require_folder(root, _LAYOUT)
    found = {split: folder for split, folder in split_folders(root).items() if _folders_in(folder)}
    if found and "train" not in found and len(found) == len(_folders_in(root)):
        raise DataError(f"{root}: found {' and '.join(sorted(found))}, but no folder train. {_LAYOUT}")
    return found if "train" in found else {"train": root}


def require_folder(root: Path, layout: str) -> None:
    """Raise ``DataError`` if ``root`` is not a folder; the message says which ``layout`` is expected in it."""
    if not root.exists():
        raise DataError(
            f"{root}: there is no such folder (looked for {root.absolute()}). A relative path starts at the "
            "working directory; change it with data.params.path=..."
        )
    if not root.is_dir():
        raise DataError(f"{root}: this is a file, not a folder. {layout}")


def split_folders(root: Path) -> dict[str, Path]:
    """Return the folders that are named after a split, by :func:`names_of_splits`."""
    found = names_of_splits((name for name in SPLIT_OF if (root / name).is_dir()), root)
    return {split: root / name for split, name in found.items()}


def names_of_splits(names: Iterable[str], source: object) -> dict[str, str]:
    """Return for each split which of the ``names`` means it; if two do, ``DataError`` names their ``source``."""
    given, found = set(names), dict[str, str]()
    for name, split in SPLIT_OF.items():
        if name in given and found.setdefault(split, name) != name:
            raise DataError(f"{source}: {found[split]} and {name} are both for {split}. Rename one, or join them.")
    return found


def find_classes(folder: Path, on_error: OnError = "raise") -> list[str]:
    """Return the sorted names of the class folders of a split; hidden folders and links to above are ignored.

    With ``on_error="skip"``, classes without images are left out with a warning. If there is no class, ``DataError`` is
    raised.
    """
    names = _folders_in(folder)
    if not names:
        loose = next((entry.name for entry in os.scandir(folder) if is_image(entry.name)), None)
        seen = f"it contains images, such as {loose}, but no folders" if loose else "it contains no folders"
        raise DataError(f"{folder}: {seen}. {_LAYOUT}")
    if bytes_in_it := next((name for name in names if not is_text(name)), None):
        raise DataError(f"{folder / bytes_in_it}: the name of this class is not text in UTF-8. Rename the folder.")
    if on_error == "raise":
        return names
    filled = [name for name in names if _holds_images(folder / name)]
    empty = [name for name in names if name not in filled]
    if empty:
        logger.warning("%s: skipped %s without images", folder, _named(empty))
    if not filled:
        raise DataError(f"{folder}: none of its folders contains images.")
    return filled


def list_classes(
    folder: Path, class_names: Sequence[str], on_error: OnError = "raise", unused: UnusedFiles | None = None
) -> list[list[str]]:
    """Return one sorted list of image paths per class; it is empty where the split has no such folder.

    A class folder without images or with an unknown name raises ``DataError``. With ``on_error="skip"`` it is left out,
    an unknown one with a warning. Two classes that are the same folder raise ``DataError``; a folder that two classes
    link to belongs to the first. Other unused files are counted in ``unused``.
    """
    present = _folders_in(folder)
    read = _real_paths(folder, present)
    unused = unused or UnusedFiles(folder)
    unused.add_others(folder, present)
    files = [sorted(walk_images(folder / name, unused, read)) if name in present else [] for name in class_names]
    unknown = [name for name in present if name not in class_names and _holds_images(folder / name)]
    if unknown and on_error == "skip":
        logger.warning("%s: skipped %s: no training images", folder, _named(unknown))
    elif unknown:
        raise DataError(
            f"{folder}: no training images for {_named(unknown)}. Add a folder of the same name for training, remove "
            "it here, or set on_error: skip."
        )
    empty = [name for name, paths in zip(class_names, files, strict=True) if name in present and not paths]
    if empty and on_error == "raise":
        raise DataError(
            f"{folder}: no images in {_named(empty)}. Add images ({', '.join(IMAGE_SUFFIXES)}), remove it, or set "
            "on_error: skip."
        )
    return files


def report_unused(unused: UnusedFiles, root: Path, folders: Iterable[Path] = (), known: Sequence[str] = ()) -> None:
    """Log the unused files in one line, with those beside the used ``folders`` in ``root``, except ``known`` names.

    A folder may be absolute where the root is not.
    """
    used: dict[Path, set[str]] = {}
    for folder in folders:
        for inner in (folder, *folder.parents):
            if root.absolute() in inner.absolute().parents:
                used.setdefault(inner.parent, set(known)).add(inner.name)
    for parent, names in used.items():
        unused.add_others(parent, names)
    if line := str(unused):
        logger.warning("%s", line)


def _real_paths(folder: Path, names: Sequence[str]) -> set[Path]:
    classes: dict[Path, str] = {}
    for name in names:
        first = classes.setdefault(Path(os.path.realpath(folder / name)), name)
        if first != name:
            raise DataError(f"{folder}: the classes {first} and {name} are the same folder. Remove one of the links.")
    return set(classes)


def _holds_images(folder: Path) -> bool:
    return next(walk_images(folder), None) is not None


def _folders_in(folder: Path) -> list[str]:
    return sorted(
        entry.name
        for entry in os.scandir(folder)
        if entry.is_dir()
        and not entry.name.startswith(".")
        and entry.name != "__MACOSX"
        and not (entry.is_symlink() and Path(os.path.realpath(folder)).is_relative_to(os.path.realpath(entry.path)))
    )


def _named(classes: Sequence[str]) -> str:
    word = "the class" if len(classes) == 1 else "the classes"
    return f"{word} {', '.join(classes)}"
