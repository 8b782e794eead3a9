"""The folders and lists of Pascal VOC."""

from __future__ import annotations

import os
import re
from pathlib import Path

from cuelight.data.base.folders import names_of_splits
from cuelight.data.base.mask_files import Color
from cuelight.data.base.text_lines import read_lines
from cuelight.data.finding import UnusedFiles, walk_images
from cuelight.errors import DataError

_BRIGHTEST = 255


def find_root(path: Path, lists: Path) -> Path | None:
    """Return the folder that holds the folder ``lists``: ``path``, or one in or below VOCdevkit; ``None`` without any.

    ``DataError`` is raised if there is more than one.
    """
    candidates = [path, *sorted(path.glob("VOC*/")), *sorted(path.glob("VOCdevkit/VOC*/"))]
    found = [folder for folder in candidates if (folder / lists).is_dir()]
    if len(found) > 1 and found[0] != path:
        raise DataError(f"{path}: it contains {' and '.join(map(str, found))}. Set data.params.path to one of them.")
    return found[0] if found else None


def read_lists(folder: Path, layout: str) -> dict[str, list[str]]:
    """Return the names in the lists of ``train`` and, where they exist, of ``val`` and ``test``.

    Without ``train.txt``, those of ``trainval.txt`` or ``default.txt`` are for training. CVAT writes ``Train.txt`` and
    ``Validation.txt``. ``DataError`` is raised if there are none; its message ends with the expected ``layout``.
    """
    lists = {file.stem.lower(): file for file in sorted(folder.glob("*.txt"))}
    if "train" in lists:
        files = {split: lists[name] for split, name in names_of_splits(lists, folder).items()}
    else:
        whole = {"train": lists.get("default") or lists.get("trainval"), "test": lists.get("test")}
        files = {split: file for split, file in whole.items() if file}
    names = {split: sorted(map(_name, read_lines(file))) for split, file in files.items()}
    if not names.get("train"):
        raise DataError(f"{folder / 'train.txt'}: this file is empty or does not exist. {layout}")
    return names


def read_label_map(file: Path) -> dict[str, Color]:
    """Return the color of each class in a file that CVAT writes with masks: ``name:red,green,blue::`` in each line.

    ``DataError`` is raised for another line, and for a color or a name that is there twice.
    """
    colors: dict[str, Color] = {}
    for line in read_lines(file):
        if line.startswith("#"):
            continue
        match = re.match(r"([^:]+):(\d+),(\d+),(\d+)(:|$)", line)
        color = tuple(map(int, match.groups()[1:4])) if match else ()
        if match is None or max(color) > _BRIGHTEST:
            raise DataError(f"{file}: expected a name and a color such as cat:255,0,0:: in each line, got {line[:80]}")
        if match[1] in colors or color in colors.values():
            raise DataError(f"{file}: the name or the color of {match[1]} is there twice. Correct one of the lines.")
        colors[match[1]] = color
    return colors


def _name(line: str) -> str:
    """Return the name in a line of a list, which may have a folder before it and a flag of -1 to 1 behind it."""
    return re.sub(r"\s+(-1|0|1)$", "", line).rpartition("/")[2]


def images_by_name(folder: Path, unused: UnusedFiles) -> dict[str, str]:
    """Return the images in a folder and its subfolders by their names without extension."""
    found: dict[str, str] = {}
    for path in sorted(walk_images(folder, unused)):
        name = os.path.splitext(os.path.basename(path))[0]  # noqa: PTH119, PTH122 - of 10^5 files
        if (first := found.setdefault(name, path)) != path:
            raise DataError(f"{path}: there is a second file of this name, {first}. Rename or remove one of them.")
    return found
