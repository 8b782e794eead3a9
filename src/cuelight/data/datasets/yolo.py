"""Images and boxes in the usual layout of YOLO: a data.yaml, images, and a text file with labels for each."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from cuelight.data.base.box_annotations import (
    RELATIVE,
    AnnotatedImage,
    AnnotatedObject,
    AnnotationErrors,
    Annotations,
)
from cuelight.data.base.box_file_data_module import BoxFileDataModule
from cuelight.data.base.folders import names_of_splits, report_unused
from cuelight.data.base.point_annotations import to_points, yolo_skeleton
from cuelight.data.base.text_lines import read_lines, read_text
from cuelight.data.finding import UnusedFiles, is_file, walk_images
from cuelight.errors import DataError

logger = logging.getLogger(__name__)

_LAYOUT = "Expected data.yaml with train (a folder, a list of folders, or a text file of images) and names."
_BOX = 4
_DARKNET = "obj.data"


class YoloDetection(BoxFileDataModule):
    """Images with boxes in the layout that most trainers of YOLO read, and that Roboflow and CVAT export.

    ``data.yaml`` has the keys ``train``, ``val`` and ``test``, each a folder of images, a list of folders or a text
    file that lists images; ``names``, a list or a mapping from numbers; and perhaps ``path``, the folder to which they
    are relative. The labels of ``images/train/1.jpg`` are in ``labels/train/1.txt``, or beside the image: a line for
    each object, with the number of its class and the center, width and height of its box as shares of the image; or
    with a polygon, whose box is used. A missing val or test split is taken from the training images.

    Instead of ``data.yaml`` there may be the file ``obj.data`` of Darknet, as in the export "YOLO 1.1" of CVAT.

    Args:
        path: The file ``data.yaml`` or ``obj.data``, or its folder.
        **options: As for :class:`~cuelight.data.base.box_file_data_module.BoxFileDataModule`.
    """

    def read_annotations(self, errors: AnnotationErrors) -> Annotations:
        """Return the images of ``train`` and, where they exist, of ``val`` and ``test``."""
        file = _find_settings(Path(self.path))
        settings = _read_darknet(file) if file.suffix == ".data" else _read_yaml(file)
        names = _class_names(settings, file)
        has_points = self.with_points or "kpt_shape" in settings
        skeleton, numbers = yolo_skeleton(settings, file) if has_points else (None, 0)
        expected = len(skeleton.names) * numbers if skeleton else 0
        roots = _roots(settings, file)
        unused = UnusedFiles(file.parent, ignored=(".txt", ".cache", ".yaml", ".yml"))
        splits: dict[str, list[AnnotatedImage]] = {}
        folders: list[Path] = []
        for split, key in names_of_splits(filter(settings.get, settings), file).items():
            try:
                found = [_find_place(place, roots, file, split) for place in _as_list(settings[key], file, split)]
            except DataError:
                if split == "train" or "roboflow" not in settings:
                    raise
                logger.warning("%s: %s is missing; Roboflow names a split also if it exports none.", file, split)
                continue
            folders += [folder for folder in found if folder.is_dir()]
            paths = [path for place in found for path in _list_images(place, roots, unused, errors)]
            splits[split] = list(
                _label(paths, partial(_parse, names=names, points=(expected, numbers), errors=errors), errors)
            )
        if not splits.get("train"):
            raise DataError(f"{file}: there are no images for train. {_LAYOUT}")
        report_unused(unused, file.parent, folders, known=["labels", file.name])
        return Annotations(list(dict.fromkeys(names.values())), splits, skeleton if self.with_points else None)


def _find_settings(path: Path) -> Path:
    if not path.is_dir():
        return path
    files = sorted([*path.glob("*.yaml"), *path.glob("*.yml")])
    if (path / "data.yaml") in files:
        return path / "data.yaml"
    if not files and is_file(path / _DARKNET):
        return path / _DARKNET
    if len(files) != 1:
        raise DataError(f"{path}: found {len(files)} YAML files in this folder. Set data.params.path to one. {_LAYOUT}")
    return files[0]


def _read_yaml(file: Path) -> dict[str, Any]:
    try:
        settings = yaml.safe_load(read_text(file))
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        reason = "it is nested too deeply" if isinstance(error, RecursionError) else error
        raise DataError(f"{file}: this is not YAML: {reason}") from error
    if not isinstance(settings, dict):
        raise DataError(f"{file}: expected a mapping of keys. {_LAYOUT}")
    return settings


def _read_darknet(file: Path) -> dict[str, Any]:
    """Return the settings of a file of Darknet, which has a key and a value in each line, with the names of classes."""
    pairs = (line.partition("=") for line in read_lines(file))
    settings: dict[str, Any] = {key.strip(): value.strip() for key, _, value in pairs}
    names = _find_place(settings.get("names") or "obj.names", [file.parent], file, "names")
    count = settings.get("classes", "")
    return {**settings, "names": read_lines(names), "nc": int(count) if count.isdecimal() else None}


def _class_names(settings: Mapping[str, Any], file: Path) -> dict[int, str]:
    names, count = settings.get("names"), settings.get("nc")
    if isinstance(names, list):
        names = dict(enumerate(names))
    if not isinstance(names, dict) or not names or not all(_is_index(number) for number in names):
        raise DataError(f"{file}: names: expected a list of class names, or a mapping from numbers to names.")
    if isinstance(count, int) and count != len(names):
        raise DataError(f"{file}: nc is {count}, but there are {len(names)} names. Correct one of them.")
    found = {int(number): str(names[number]) for number in sorted(names, key=int)}
    if len(found) < len(names):
        raise DataError(
            f"{file}: names: expected a different number for each class, got {', '.join(map(repr, names))}."
        )
    if len(set(found.values())) < len(found):
        raise DataError(f"{file}: names: expected a different name for each class, got {', '.join(found.values())}.")
    return found


def _roots(settings: Mapping[str, Any], file: Path) -> list[Path]:
    """Return the folders to which the entries may be relative, the most likely one first."""
    base = settings.get("path")
    return [file.parent / base, file.parent] if isinstance(base, str) else [file.parent]


def _as_list(entry: object, file: Path, split: str) -> list[str]:
    places = entry if isinstance(entry, list) else [entry]
    if wrong := [place for place in places if not isinstance(place, str)]:
        raise DataError(f"{file}: {split}: expected folders or text files, got {str(wrong[0])[:80]}.")
    return list(map(str, places))


def _find_place(place: str, roots: Sequence[Path], file: Path, split: str) -> Path:
    place = place.replace("\\", "/")
    # Roboflow writes ../train/images for train/images, or the name of the folder with data.yaml before it; CVAT data/.
    prefixes = ("", "../", f"{file.parent.name}/", "data/")
    candidates = [root / place.removeprefix(prefix) for prefix in prefixes for root in roots]
    for candidate in candidates:
        if candidate.is_dir() or is_file(candidate):
            return candidate
    raise DataError(f"{file}: {split}: there is no {candidates[0]}. Correct the entry, or the path in this file.")


def _list_images(place: Path, roots: Sequence[Path], unused: UnusedFiles, errors: AnnotationErrors) -> Iterator[str]:
    if place.is_dir():
        yield from sorted(walk_images(place, unused))
        return
    for number, line in enumerate(read_lines(place), 1):
        name = line.replace("\\", "/")
        # CVAT writes data/images/1.jpg for images/1.jpg.
        candidates = [root / each for root in (*roots, place.parent) for each in (name, name.removeprefix("data/"))]
        found = next((path for path in candidates if is_file(path)), None)
        if found is None:
            errors.add(f"{place}: entry {number}", f"there is no image {line}")
        else:
            yield str(found)


def _label(
    paths: Sequence[str], parse: Callable[[str, str], AnnotatedObject | None], errors: AnnotationErrors
) -> Iterator[AnnotatedImage]:
    files = {path: _label_file(path) for path in paths}
    alone = [path for path, file in files.items() if not file.exists()]
    if alone:
        expected = f"{len(alone)} of {len(files)} images have no label file, such as {files[alone[0]]}"
        if len(alone) == len(files):
            raise DataError(f"{alone[0]}: {expected}. The labels of images/1.jpg are expected in labels/1.txt.")
        logger.warning("%s: they count as images without objects: %s", alone[0], expected)
    for path in paths:
        try:
            lines = read_lines(files[path]) if files[path].exists() else []
        except DataError as error:
            errors.add_file(error)
            continue
        objects = [parse(line, f"{files[path]}: line {number}") for number, line in enumerate(lines, 1)]
        yield AnnotatedImage(path, RELATIVE, [each for each in objects if each])


def _label_file(path: str) -> Path:
    """Return the file of an image: labels/1.txt for images/1.jpg, or else 1.txt beside the image."""
    beside = Path(path).with_suffix(".txt")
    parts = beside.parts
    if "images" not in parts[:-1]:
        return beside
    last = len(parts) - 1 - parts[::-1].index("images")
    in_labels = Path(*parts[:last], "labels", *parts[last + 1 :])
    return beside if beside.exists() and not in_labels.exists() else in_labels


def _parse(
    line: str, where: str, *, names: Mapping[int, str], points: tuple[int, int], errors: AnnotationErrors
) -> AnnotatedObject | None:
    """Return the object of a line; ``points`` are the numbers of all its points and of each, 0 without any."""
    try:
        number, *values = map(float, line.split())
    except ValueError:
        errors.add(where, f"expected numbers, got {line[:80]!r}")
        return None
    in_points, of_each = points
    problem = None
    if number not in names:
        problem = f"there is no class {number:g}; expected {min(names)} to {max(names)}"
    elif in_points and len(values) != _BOX + in_points:
        expected = f"a class with a box of 4 numbers and {in_points // of_each} points of {of_each} numbers"
        problem = f"expected {expected}, {1 + _BOX + in_points} in all, got {len(values) + 1} numbers"
    elif len(values) == _BOX + in_points:
        x, y, width, height = values[:_BOX]
        box = (x - width / 2, y - height / 2, x + width / 2, y + height / 2)
        found = to_points(values[_BOX:], of_each) if in_points else ()
        if not isinstance(found, str):
            return AnnotatedObject(names[int(number)], box, False, where, found)
        problem = found
    elif len(values) > _BOX and len(values) % 2 == 0:
        across, down = values[::2], values[1::2]
        box = (_least(across), _least(down), -_least([-x for x in across]), -_least([-y for y in down]))
        return AnnotatedObject(names[int(number)], box, False, where)
    else:
        problem = f"expected a class with a box of 4 numbers or a polygon, got {len(values) + 1} numbers"
    errors.add(where, problem)
    return None


def _least(values: Sequence[float]) -> float:
    return math.nan if any(map(math.isnan, values)) else min(values)  # min() would ignore NaN


def _is_index(number: object) -> bool:
    return isinstance(number, int) or (isinstance(number, str) and number.isdecimal())
