"""Images and boxes in the format of COCO."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Container, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal

from cuelight.data.base.annotated_file_data_module import AnnotatedFileDataModule
from cuelight.data.base.box_annotations import AnnotatedImage, AnnotatedObject, AnnotationErrors, Annotations, Point
from cuelight.data.base.box_file_data_module import BoxFileDataModule
from cuelight.data.base.folders import SPLIT_OF, report_unused, require_folder, split_folders
from cuelight.data.base.point_annotations import coco_points, coco_skeleton
from cuelight.data.base.text_lines import read_text
from cuelight.data.finding import UnusedFiles, is_file, walk_images
from cuelight.errors import DataError, Problem

_LAYOUT = (
    "Expected JSON files in it or in its folder annotations, such as instances_train.json and instances_val.json, or "
    "one in each of the folders train, valid and test. Otherwise set data.params.annotations."
)
_SPLIT_IN_NAME = re.compile(r"(?:^|[^a-z])(train|validation|valid|val|test)(?:[^a-z]|$)")
_TRIED = 20
_ID = int | float | str

PerSplit = dict[Literal["train", "val", "test"], str]


class CocoFiles(AnnotatedFileDataModule[Any]):
    """Images in JSON files of the format of COCO (Lin et al., 2014, Microsoft COCO).

    The layout of COCO itself and the exports of Roboflow, CVAT and others are found in ``path``; others are set with
    ``annotations`` and ``images``. A missing val or test split is taken from the training images. A subclass lists it
    before the base that has its task.

    Args:
        path: The folder.
        annotations: The JSON file of each of ``train``, ``val`` and ``test``, or that of ``train``, relative to
            ``path``; found by its name if left out.
        images: The folder to which the names of images in a JSON file are relative, for each split or for all; found if
            left out.
        **options: As for the next base.
    """

    prefix: ClassVar[str] = "instances"  # of the names of the files of COCO itself
    with_points: ClassVar[bool] = False

    def __init__(
        self,
        path: str | Path,
        annotations: str | PerSplit | None = None,
        images: str | PerSplit | None = None,
        **options: Any,
    ) -> None:
        super().__init__(path, **options)
        self.annotations = annotations
        self.images = images

    @classmethod
    def parameter_problems(cls, params: Mapping[str, Any], path: str) -> list[Problem]:
        """Report annotations without those of training, too."""
        files = params.get("annotations")
        missing = isinstance(files, Mapping) and "train" not in files
        own = [Problem("the file of train is missing.", f"{path}.annotations")] if missing else []
        return [*super().parameter_problems(params, path), *own]

    def read_annotations(self, errors: AnnotationErrors) -> Annotations:
        """Return the images of ``train`` and, where there are such files, of ``val`` and ``test``."""
        root = Path(self.path)
        require_folder(root, _LAYOUT)
        files = _given(root, self.annotations, "train") or _find_annotation_files(root, self.prefix)
        if "train" not in files:
            raise DataError(f"{root}: there is no JSON file for train. {_LAYOUT}")
        folders = _given(root, self.images, *files)
        for folder in folders.values():
            if not folder.is_dir():
                raise DataError(f"{folder}: there is no such folder. Set data.params.images to a folder in {root}.")
        unused = UnusedFiles(root, ignored=(".json",))
        splits: dict[str, list[AnnotatedImage]] = {}
        read = {
            split: _CocoFile(file, errors, self.prefix, self.with_points, self.classes) for split, file in files.items()
        }
        skeleton = read["train"].skeleton
        walked: dict[Path, set[str]] = {}
        for split, coco in read.items():
            if coco.skeleton != skeleton:
                raise DataError(f"{coco.file}: its keypoints differ from those of {read['train'].file}.")
            folder = folders.get(split) or coco.find_images(root, split)
            if folder not in walked:
                walked[folder] = set(walk_images(folder, unused))
            splits[split] = list(coco.annotated_images(folder))
        used = {image.path for listed in splits.values() for image in listed}
        for path in sorted(set().union(*walked.values()) - used):
            unused.add_without_annotation(path)
        report_unused(unused, root, [*walked, *(file.parent for file in files.values() if file.parent != root)])
        return Annotations(read["train"].class_names(), splits, skeleton)


class CocoDetection(CocoFiles, BoxFileDataModule):
    """Images with boxes in JSON files of the format of COCO (Lin et al., 2014, Microsoft COCO).

    Files are found as by :class:`~cuelight.data.datasets.coco.CocoFiles`. Regions marked ``iscrowd`` are ignored.

    Args:
        **options: As for CocoFiles and for :class:`~cuelight.data.base.box_file_data_module.BoxFileDataModule`.
    """


class _CocoFile:
    """A JSON file of COCO: its images, categories and annotations, each checked as it is used."""

    def __init__(
        self,
        file: Path,
        errors: AnnotationErrors,
        prefix: str,
        with_points: bool = False,
        classes: Container[str] | None = None,
    ) -> None:
        self.file = file
        self.prefix = prefix
        self.errors = errors
        content = _read_json(file)
        if not isinstance(content, dict):
            raise DataError(f"{file}: expected an object with images, annotations and categories. Is it of COCO?")
        self._images = self._by_id(content, "images", "file_name")
        self._categories = self._by_id(content, "categories", "name")
        self._chosen = [one for one in self._categories.values() if classes is None or one["name"] in classes]
        self.skeleton = coco_skeleton(self._chosen, file) if with_points else None
        self._objects: dict[object, list[AnnotatedObject]] = {}
        self._used: set[str] = set()
        for annotation in self._entries(content, "annotations"):
            self._add(annotation)

    def class_names(self) -> list[str]:
        """Return the names of the categories by their ids, without those that only group others."""
        named = [(category["name"], category.get("supercategory")) for category in self._categories.values()]
        groups = [group for name, group in named if group != name]
        ordered = sorted(self._categories.items(), key=lambda entry: (isinstance(entry[0], str), entry[0]))
        names = [category["name"] for _, category in ordered]
        return list(dict.fromkeys(name for name in names if name in self._used or name not in groups))

    def find_images(self, root: Path, split: str) -> Path:
        """Return the folder to which the names of the images are relative."""
        subset = self.file.stem.removeprefix(f"{self.prefix}_")
        named = [folder for name in dict.fromkeys((subset, split)) for folder in (root / "images" / name, root / name)]
        above = [split_folders(root).get(split, root), root / "images", root]
        beside = [self.file.parent / "images", self.file.parent / "data"]
        candidates = list(dict.fromkeys([self.file.parent, *named, *above, *beside]))
        first = [_file_name(image) for image in list(self._images.values())[:_TRIED]]
        for folder in candidates:
            if any(is_file(folder / name) for name in first):
                return folder
        example = first[0] if first else "an image"
        raise DataError(
            f"{self.file}: {example} is in none of the folders {', '.join(map(str, candidates))}. Set "
            "data.params.images to the folder of the images."
        )

    def annotated_images(self, folder: Path) -> Iterator[AnnotatedImage]:
        """Yield the images that exist."""
        for number, image in self._images.items():
            path = folder / _file_name(image)
            if not is_file(path):
                self.errors.add(f"{self.file}: image {number}", f"there is no file {path}")
                continue
            yield AnnotatedImage(str(path), _size(image), self._objects.get(number, []))

    def _add(self, annotation: Mapping[str, Any]) -> None:
        where = f"{self.file}: annotation {annotation.get('id', 'without id')}"
        category = _lookup(self._categories, annotation.get("category_id"))
        if _lookup(self._images, annotation.get("image_id")) is None:
            self.errors.add(where, f"there is no image {annotation.get('image_id')}")
        elif category is None:
            self.errors.add(where, f"there is no category {annotation.get('category_id')}")
        else:
            self._used.add(category["name"])
            box = _to_box(annotation.get("bbox"))
            points: tuple[Point, ...] | str = ()
            if self.skeleton and category in self._chosen:
                points = coco_points(annotation.get("keypoints"), self.skeleton)
            if isinstance(points, str):
                self.errors.add(where, points)
                return
            crowd = annotation.get("iscrowd") or 0
            if crowd not in (0, 1):  # a text such as "0" would count as true
                self.errors.add(where, f"iscrowd: expected 0 or 1, got {crowd!r}")
                return
            each = AnnotatedObject(category["name"], box, bool(crowd), where, points)
            self._objects.setdefault(annotation["image_id"], []).append(each)

    def _by_id(self, content: Mapping[str, Any], key: str, needed: str) -> dict[object, dict[str, Any]]:
        found: dict[object, dict[str, Any]] = {}
        for entry in self._entries(content, key):
            number, name = entry.get("id"), entry.get(needed)
            where = f"{self.file}: {key}: entry {number}"
            if not isinstance(number, _ID) or not isinstance(name, str) or not name:
                self.errors.add(where, f"expected an id and a {needed}, got {str(entry)[:80]}")
            elif number in found:
                self.errors.add(where, "there are two entries of this id")
            else:
                found[number] = entry
        return found

    def _entries(self, content: Mapping[str, Any], key: str) -> Iterable[dict[str, Any]]:
        entries = content.get(key)
        if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
            raise DataError(f"{self.file}: expected a list of objects under {key}. Is it a detection file of COCO?")
        return entries


def _given(root: Path, places: str | PerSplit | None, *splits: str) -> dict[str, Path]:
    """Return the paths that were set, by split; one for all applies to ``splits``."""
    if places is None:
        return {}
    if isinstance(places, str):
        return dict.fromkeys(splits, root / places)
    return {split: root / place for split, place in places.items()}


def _find_annotation_files(root: Path, prefix: str) -> dict[str, Path]:
    in_folders = {split: sorted(folder.glob("*.json")) for split, folder in split_folders(root).items()}
    found = {split: files for split, files in in_folders.items() if files}
    if not found:
        listed = sorted([*root.glob("*.json"), *root.glob("annotations/*.json")])
        files = [file for file in listed if file.stem.startswith(prefix)] or listed
        for file in files:
            match = _SPLIT_IN_NAME.search(file.stem.lower())
            found.setdefault(SPLIT_OF[match[1]] if match else "train", []).append(file)
    for split, files in found.items():
        if len(files) > 1:
            names = " or ".join(str(file.relative_to(root)) for file in files[:5])
            raise DataError(f"{root}: is {names} the file of {split}? Set data.params.annotations.")
    return {split: found[split][0] for split in ("train", "val", "test") if split in found}


def _read_json(file: Path) -> Any:
    try:
        return json.loads(read_text(file))
    except RecursionError as error:
        raise DataError(f"{file}: it is nested too deeply. Is it a detection file of COCO?") from error
    except ValueError as error:
        raise DataError(f"{file}: this is not JSON: {error}") from error


def _file_name(image: Mapping[str, Any]) -> str:
    name: str = image["file_name"]
    return name.replace("\\", "/")


def _size(image: Mapping[str, Any]) -> tuple[int, int] | None:
    width, height = image.get("width"), image.get("height")
    if isinstance(width, int) and isinstance(height, int) and width > 0 and height > 0:
        return width, height
    return None


def _lookup(entries: Mapping[object, dict[str, Any]], key: object) -> dict[str, Any] | None:
    return entries.get(key) if isinstance(key, _ID) else None


def _to_box(values: Any) -> tuple[float, float, float, float]:
    try:
        left, top, width, height = map(float, values)
    except (TypeError, ValueError, OverflowError):
        return math.nan, math.nan, math.nan, math.nan
    return left, top, left + width, top + height
