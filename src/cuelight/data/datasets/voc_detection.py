"""Images and boxes in the format of Pascal VOC."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NoReturn
from xml.etree import ElementTree as ET

from cuelight.data.base.box_annotations import AnnotatedImage, AnnotatedObject, AnnotationErrors, Annotations
from cuelight.data.base.box_file_data_module import BoxFileDataModule
from cuelight.data.base.folders import report_unused, require_folder, split_folders
from cuelight.data.base.text_lines import read_bytes
from cuelight.data.base.voc_layout import find_root, images_by_name, read_lists
from cuelight.data.finding import UnusedFiles
from cuelight.errors import DataError

_LISTS = Path("ImageSets", "Main")
_LAYOUT = (
    "Expected the folders JPEGImages, Annotations and ImageSets/Main in it or in VOCdevkit/VOC2012 below it, or images "
    "with an XML file each, perhaps in folders train, valid and test."
)
_OTHER_FORMATS = {
    "*.json": "It has JSON files; CocoDetection reads those of COCO.",
    "data.yaml": "It has data.yaml; YoloDetection reads this.",
}
_EDGES = ("xmin", "ymin", "xmax", "ymax")


class VOCDetection(BoxFileDataModule):
    """Images with boxes in XML files of the format of Pascal VOC.

    The challenge is that of Everingham et al., 2010, The Pascal Visual Object Classes (VOC) Challenge.

    In its layout, ``ImageSets/Main/train.txt``, ``val.txt`` and ``test.txt`` list the names of each split,
    ``trainval.txt`` or ``default.txt`` where there is no ``train.txt``. Otherwise, images and XML files of the same
    name belong together, in one folder or in folders for train, valid and test, as Roboflow exports them. Coordinates
    begin at 1. Objects marked ``difficult`` are ignored. A missing val or test split is taken from the training images.

    The classes are those in the training files, sorted by name, unless ``classes`` has others.
    """

    def read_annotations(self, errors: AnnotationErrors) -> Annotations:
        """Return the images of ``train`` and, where they exist, of ``val`` and ``test``."""
        path = Path(self.path)
        require_folder(path, _LAYOUT)
        root = find_root(path, _LISTS)
        splits = _read_folders(path, errors) if root is None else _read_listed(root, errors)
        if not splits.get("train"):
            raise DataError(f"{path}: there are no training images with annotations. {_LAYOUT}")
        names = {each.name for image in splits["train"] for each in image.objects}
        return Annotations(sorted(names), splits)


def _read_listed(root: Path, errors: AnnotationErrors) -> dict[str, list[AnnotatedImage]]:
    for name in ("JPEGImages", "Annotations"):
        require_folder(root / name, _LAYOUT)
    names, unused = read_lists(root / _LISTS, _LAYOUT), UnusedFiles(root)
    images, annotations = images_by_name(root / "JPEGImages", unused), _annotations_by_name(root / "Annotations")
    report_unused(unused, root)
    # The challenge does not publish the annotations of its test.
    if not any(name in annotations for name in names.get("test", ())):
        names.pop("test", None)
    return {
        split: list(_pair(listed, images, annotations, f"{root / _LISTS}: {split}", errors))
        for split, listed in names.items()
    }


def _read_folders(root: Path, errors: AnnotationErrors) -> dict[str, list[AnnotatedImage]]:
    found = {split: folder for split, folder in split_folders(root).items() if _annotations_by_name(folder)}
    if found and "train" not in found:
        names = " and ".join(folder.name for folder in found.values())
        raise DataError(f"{root}: found XML files in {names}, but none in a folder train. {_LAYOUT}")
    unused = UnusedFiles(root, ignored=(".xml",))
    splits = {}
    for split, folder in (found or {"train": root}).items():
        annotations = _annotations_by_name(folder)
        if not annotations:
            hints = [hint for pattern, hint in _OTHER_FORMATS.items() if any(root.rglob(pattern))]
            raise DataError(" ".join([f"{folder}: there is no XML file in this folder.", *hints, _LAYOUT]))
        images = images_by_name(folder, unused)
        pairs = _pair(sorted(images.keys() | annotations.keys()), images, annotations, str(folder), errors)
        splits[split] = list(pairs)
    report_unused(unused, root, found.values())
    return splits


def _annotations_by_name(folder: Path) -> dict[str, Path]:
    return {file.stem: file for file in sorted(folder.rglob("*.xml")) if not file.name.startswith(".")}


def _pair(
    names: Sequence[str], images: dict[str, str], annotations: dict[str, Path], source: str, errors: AnnotationErrors
) -> Iterator[AnnotatedImage]:
    for name in names:
        if name not in images:
            errors.add(f"{source}: {name}", "there is no image of this name")
        elif name not in annotations:
            errors.add(f"{source}: {name}", "there is no XML file of this name")
        else:
            try:
                yield _read_image(images[name], annotations[name], errors)
            except DataError as error:
                errors.add_file(error)
            except (ET.ParseError, LookupError, ValueError) as error:
                errors.add(str(annotations[name]), f"this is not an annotation in XML: {error}")


def _read_image(path: str, file: Path, errors: AnnotationErrors) -> AnnotatedImage:
    parser = ET.XMLParser(target=_WithoutEntities())  # noqa: S314 - which refuses them
    root = ET.fromstring(read_bytes(file), parser)  # noqa: S314
    if root.tag != "annotation":
        raise ValueError(f"it begins with <{root.tag}>, not with <annotation>")
    objects = []
    for number, element in enumerate(root.findall("object"), 1):
        where, name = f"{file}: object {number}", (element.findtext("name") or "").strip()
        if not name:
            errors.add(where, "it has no name")
            continue
        left, top, right, bottom = (_number(element.findtext(f"bndbox/{edge}")) for edge in _EDGES)
        # The first pixel is 1, and the last one belongs to the object.
        box = (left - 1, top - 1, right, bottom)
        objects.append(AnnotatedObject(name, box, _number(element.findtext("difficult")) == 1, where))
    width, height = (_number(root.findtext(f"size/{side}")) for side in ("width", "height"))
    known = 0 < width < math.inf and 0 < height < math.inf
    return AnnotatedImage(path, (int(width), int(height)) if known else None, objects)


class _WithoutEntities(ET.TreeBuilder):
    """Refuses document types, because their entities can expand to gigabytes, and include other files."""

    def doctype(self, *_: object) -> NoReturn:
        raise ValueError("it has a document type, which is refused; remove <!DOCTYPE ...>")


def _number(text: str | None) -> float:
    try:
        return float(text or math.nan)
    except ValueError:
        return math.nan
