"""Tables of what is in a dataset, and sentences about what looks wrong."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cuelight.data.base.image_data_module import ImageDataModule
from cuelight.errors import DataError
from cuelight.inspection.duplicates import Duplicates, Rows
from cuelight.inspection.reading import ImageRecord, Progress, read_split
from cuelight.inspection.sheets import draw_sheets
from cuelight.report.inspected import INSPECTION_FILE, Inspection
from cuelight.utils.files import atomic_write, write_json
from cuelight.utils.words import first_of

_MOST_NAMED = 5
_ALMOST_ALL = 0.9
_FEW = 10  # images of a class
_SMALL = 4.0  # pixels of the model input

Splits = Mapping[str, Sequence[ImageRecord]]


def inspect_data(data: Any, progress: Progress = lambda found, _: found) -> tuple[Inspection, dict[str, Image.Image]]:
    """Look at every image of a dataset once.

    Args:
        data: A data module of Cuelight's; ``setup`` is called; what is wrong is skipped and reported.
        progress: Passes the results of a split on and shows how far it is; gets their number, too.

    Returns:
        The tables and findings, and pictures of samples by name.

    Raises:
        DataError: If the data cannot be read, or is no data module of Cuelight's.
    """
    if not isinstance(data, ImageDataModule):
        raise DataError(
            f"{type(data).__name__} cannot be inspected: expected a data module that is derived from "
            "cuelight.data.base.image_data_module.ImageDataModule."
        )
    stops = getattr(data, "on_error", "raise") == "raise"
    found = Inspection(type(data).__name__)
    found.findings, found.notes = _set_up(data)
    pictures = draw_sheets(data) if "train" in data.split_names else {}
    looked = {split: read_split(data, split, progress) for split in data.split_names}
    splits = {split: records for split, (records, _) in looked.items()}
    names = [str(name) for name in getattr(data, "class_names", None) or ()]
    duplicates = Duplicates(splits)
    tables = {
        "splits": [_of_split(split, records, len(bad), duplicates) for split, (records, bad) in looked.items()],
        "classes": _of_classes(splits, names),
        "sizes": _sizes(splits),
        "modes": _counted("mode when decoded", [image.mode for records in splits.values() for image in records]),
        "duplicates": duplicates.listed(),
        "unreadable": [
            {"split": split, "file": one.path, "reason": one.reason}
            for split, (_, bad) in looked.items()
            for one in bad
        ],
    }
    found.tables = {name: rows for name, rows in tables.items() if rows}
    found.findings += [
        *_of_unreadable({split: len(bad) for split, (_, bad) in looked.items()}, stops),
        *duplicates.sentences(),
        *_of_balance(splits, names),
        *_of_boxes(splits),
    ]
    return found, pictures


def _set_up(data: ImageDataModule[Any]) -> tuple[list[str], list[str]]:
    """Set the data up, if need be without what is wrong in it; return what a training stops at, and the warnings."""
    data.prepare_data()
    with _noted() as notes:
        try:
            data.setup("fit")
        except DataError as error:
            if getattr(data, "on_error", "skip") == "skip":
                raise
            data.on_error = "skip"  # type: ignore[attr-defined]  # asked for above
            notes.clear()
            data.setup("fit")
            return [f"A training stops: {error}"], notes
    return [], notes


def write_inspection(found: Inspection, pictures: Mapping[str, Image.Image], folder: Path) -> None:
    """Write ``inspection.json`` and the pictures into a folder, in place of earlier ones."""
    for old in folder.glob("samples*.png"):
        old.unlink()
    for name, picture in pictures.items():
        with atomic_write(folder / f"{name}.png") as file:
            picture.save(file, "PNG")
    write_json(folder / INSPECTION_FILE, asdict(found))


def _of_split(split: str, records: Sequence[ImageRecord], unreadable: int, duplicates: Duplicates) -> dict[str, Any]:
    row: dict[str, Any] = {"split": split, "images": len(records) + unreadable, "unreadable": unreadable}
    if any(image.boxes is not None for image in records):
        row |= {
            "objects": sum(len(image.classes) for image in records),
            "without objects": sum(not image.classes for image in records),
        }
    if unknown := sum(image.unknown for image in records):
        row["unknown labels"] = unknown
    if split != "train":
        row["duplicates of train"], row["near duplicates of train"] = duplicates.between("train", split)
    return row


def _of_classes(splits: Splits, names: Sequence[str]) -> Rows:
    """Return how many images, or how many objects, each class has in each split."""
    counts = {
        split: Counter(label for image in records for label in image.classes) for split, records in splits.items()
    }
    labels = sorted(set(range(len(names))).union(*counts.values()))
    return [
        {"class": _name(names, label)} | {split: of_split[label] for split, of_split in counts.items()}
        for label in labels
    ]


def _sizes(splits: Splits) -> Rows:
    images = [image for records in splits.values() for image in records]
    quantities: dict[str, list[float]] = {
        "image width": [image.size[0] for image in images],
        "image height": [image.size[1] for image in images],
    }
    with_boxes = [image for image in images if image.boxes is not None]
    if with_boxes:
        boxes = _all_boxes(images)
        quantities |= {
            "objects in an image": [len(image.classes) for image in with_boxes],
            "box width (model input)": (boxes[:, 2] - boxes[:, 0]).tolist(),
            "box height (model input)": (boxes[:, 3] - boxes[:, 1]).tolist(),
        }
    return [
        {"of": name, **{of: round(float(np.quantile(values, share)), 1) for of, share in _QUANTILES.items()}}
        for name, values in quantities.items()
        if len(values)
    ]


def _all_boxes(images: Sequence[ImageRecord]) -> NDArray[np.float32]:
    boxes: list[NDArray[np.float32]] = [image.boxes for image in images if image.boxes is not None]
    return np.concatenate([np.empty((0, 4), np.float32), *boxes])


_QUANTILES = {"smallest": 0.0, "5 %": 0.05, "median": 0.5, "95 %": 0.95, "largest": 1.0}


def _counted(name: str, values: Sequence[str]) -> Rows:
    return [{name: value, "images": count} for value, count in Counter(values).most_common()]


def _of_balance(splits: Splits, names: Sequence[str]) -> Iterator[str]:
    """Yield classes that are only in some splits, and that have almost all images or few."""
    with_class = {
        split: Counter(label for image in records for label in set(image.classes)) for split, records in splits.items()
    }
    for split, counts in with_class.items():
        others = {label for other, found in with_class.items() if other != split for label in found}
        if only := sorted(counts.keys() - others) if len(with_class) > 1 else []:
            yield f"{_listed(names, only)} {'is' if len(only) == 1 else 'are'} only in {split}."
    train = with_class.get("train", Counter())
    total = len(splits.get("train", ()))
    if len(train) > 1 and (most := train.most_common(1)[0])[1] >= _ALMOST_ALL * total and _are_single(splits["train"]):
        yield f"{most[1] / total:.0%} of the training images are of {_name(names, most[0])}."
    if none := [label for label in range(len(names)) if not train[label]]:
        yield f"{_listed(names, none)} {'has' if len(none) == 1 else 'have'} no training images."
    if few := sorted(label for label, count in train.items() if count < _FEW):
        yield f"{_listed(names, few)} {'has' if len(few) == 1 else 'have'} fewer than {_FEW} training images."


def _of_unreadable(counts: Mapping[str, int], stops: bool) -> Iterator[str]:
    """Yield how many images of each split cannot be read."""
    for split, count in counts.items():
        if count:
            what = "a training stops there" if stops else "left out"
            yield f"{count} {'image' if count == 1 else 'images'} of {split} cannot be read: {what}."


def _of_boxes(splits: Splits) -> Iterator[str]:
    """Yield objects that are too small or not inside of what the model sees, and those that are there twice."""
    images = [image for records in splits.values() for image in records if image.boxes is not None]
    boxes = np.concatenate(
        [np.empty((0, 4), np.float32), *(image.boxes for image in images if image.boxes is not None)]
    )
    count = sum(len(image.classes) for image in images)
    small = int(((boxes[:, 2:] - boxes[:, :2]) < _SMALL).any(axis=1).sum())
    if small:
        yield f"{small} of {count} boxes are narrower or lower than {_SMALL:g} pixels at the size that the model sees."
    if lost := count - len(boxes):
        yield f"{lost} of {count} boxes are not in the part of their image that the model sees."
    if repeated := [image.name for image in images if image.has_repeated_objects]:
        yield f"{_count(repeated)} the same object twice: {first_of(repeated, _MOST_NAMED)}."


def _count(images: Sequence[str]) -> str:
    return "1 image has" if len(images) == 1 else f"{len(images)} images have"


def _are_single(records: Sequence[ImageRecord]) -> bool:
    return all(len(image.classes) == 1 for image in records)


def _name(names: Sequence[str], label: int) -> str:
    return names[label] if label < len(names) else str(label)


def _listed(names: Sequence[str], labels: Sequence[int]) -> str:
    return first_of([_name(names, label) for label in labels], _MOST_NAMED)


@contextmanager
def _noted() -> Iterator[list[str]]:
    """Collect the warnings of the data room."""
    messages: list[str] = []
    handler = logging.Handler(logging.WARNING)
    handler.emit = lambda record: messages.append(record.getMessage())  # type: ignore[method-assign]
    logging.getLogger("cuelight.data").addHandler(handler)
    try:
        yield messages
    finally:
        logging.getLogger("cuelight.data").removeHandler(handler)
