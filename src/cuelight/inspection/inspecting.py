"""Tables of what is in a dataset, and sentences about what looks wrong."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from cuelight.data.base.image_data_module import ImageDataModule
from cuelight.errors import DataError
from cuelight.inspection.reading import Seen, look_at
from cuelight.inspection.repeats import Repeats, Rows
from cuelight.inspection.sheets import draw_sheets
from cuelight.report.inspected import INSPECTION_FILE
from cuelight.utils.files import atomic_write, write_json
from cuelight.utils.words import first_of

_MOST_LISTED = 50
_MOST_NAMED = 5
_ALMOST_ALL = 0.9
_FEW = 10  # images of a class
_SMALL = 4.0  # pixels of the model input

Splits = Mapping[str, Sequence[Seen]]


@dataclass
class Inspection:
    """What was found in a dataset.

    Args:
        data: The name of the data module.
        tables: Rows by the name of the table; the rows of a table have the same keys.
        findings: What looks wrong, as sentences.
        notes: What the data module has said while it read its files, such as files that are not used.
    """

    data: str
    tables: dict[str, Rows] = field(default_factory=dict)
    findings: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def inspect_data(
    data: Any, show: Callable[[Iterator[Any], int], Iterator[Any]] = lambda found, _: found
) -> tuple[Inspection, dict[str, Image.Image]]:
    """Look at every image of a dataset once.

    Args:
        data: A data module of Cuelight's; ``setup`` is called.
        show: Passes the results of a split on and shows the progress; gets their number, too.

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
    with _noted() as notes:
        data.prepare_data()
        data.setup("fit")
    looked = {split: look_at(data, split, show) for split in data.split_names}
    splits = {split: seen for split, (seen, _) in looked.items()}
    names = [str(name) for name in getattr(data, "class_names", None) or ()]
    repeats = Repeats(splits)
    found = Inspection(type(data).__name__, notes=list(notes))
    found.tables = {
        "splits": [_of_split(split, seen, len(bad), repeats) for split, (seen, bad) in looked.items()],
        "classes": _of_classes(splits, names),
        "sizes": _sizes(splits),
        "modes": _counted("mode", [image.mode for seen in splits.values() for image in seen]),
        "repeated": repeats.listed(),
        "unreadable": [
            {"split": split, "file": one.path, "reason": one.reason}
            for split, (_, bad) in looked.items()
            for one in bad
        ][:_MOST_LISTED],
    }
    found.tables = {name: rows for name, rows in found.tables.items() if rows}
    found.findings = [*repeats.sentences(), *_of_balance(splits, names), *_of_boxes(splits)]
    return found, draw_sheets(data) if splits.get("train") else {}


def write_inspection(found: Inspection, pictures: Mapping[str, Image.Image], folder: Path) -> None:
    """Write ``inspection.json`` and the pictures into a folder."""
    for name, picture in pictures.items():
        with atomic_write(folder / f"{name}.png") as file:
            picture.save(file, "PNG")
    write_json(folder / INSPECTION_FILE, asdict(found))


def _of_split(split: str, seen: Sequence[Seen], unreadable: int, repeats: Repeats) -> dict[str, Any]:
    row: dict[str, Any] = {"split": split, "images": len(seen) + unreadable, "unreadable": unreadable}
    if any(image.boxes is not None for image in seen):
        row |= {
            "objects": sum(len(image.classes) for image in seen),
            "without objects": sum(not image.classes for image in seen),
        }
    exact, near = repeats.also_in_train(split)
    return row | {"also in train": len(exact), "look as in train": len(near)}


def _of_classes(splits: Splits, names: Sequence[str]) -> Rows:
    """Return how many images, or how many objects, each class has in each split."""
    counts = {split: Counter(label for image in seen for label in image.classes) for split, seen in splits.items()}
    labels = sorted(set(range(len(names))).union(*counts.values()))
    return [
        {"class": _name(names, label)} | {split: of_split[label] for split, of_split in counts.items()}
        for label in labels
    ]


def _sizes(splits: Splits) -> Rows:
    images = [image for seen in splits.values() for image in seen]
    quantities: dict[str, list[float]] = {
        "image width": [image.size[0] for image in images],
        "image height": [image.size[1] for image in images],
    }
    with_boxes = [image.boxes for image in images if image.boxes is not None]
    if with_boxes:
        boxes = np.concatenate(with_boxes)
        quantities |= {
            "objects in an image": [len(of_image) for of_image in with_boxes],
            "box width for the model": (boxes[:, 2] - boxes[:, 0]).tolist(),
            "box height for the model": (boxes[:, 3] - boxes[:, 1]).tolist(),
        }
    return [
        {"of": name, **{of: round(float(np.quantile(values, share)), 1) for of, share in _QUANTILES.items()}}
        for name, values in quantities.items()
        if len(values)
    ]


_QUANTILES = {"smallest": 0.0, "5 %": 0.05, "median": 0.5, "95 %": 0.95, "largest": 1.0}


def _counted(name: str, values: Sequence[str]) -> Rows:
    return [{name: value, "images": count} for value, count in Counter(values).most_common()]


def _of_balance(splits: Splits, names: Sequence[str]) -> Iterator[str]:
    """Yield classes that are only in some splits, and that have almost all images or few."""
    with_class = {
        split: Counter(label for image in seen for label in set(image.classes)) for split, seen in splits.items()
    }
    for split, counts in with_class.items():
        others = {label for other, found in with_class.items() if other != split for label in found}
        if only := sorted(counts.keys() - others) if len(with_class) > 1 else []:
            yield f"{_listed(names, only)} {'is' if len(only) == 1 else 'are'} only in {split}."
    train = with_class.get("train", Counter())
    total = len(splits.get("train", ()))
    if len(train) > 1 and (most := train.most_common(1)[0])[1] >= _ALMOST_ALL * total and _are_single(splits["train"]):
        yield f"{most[1] / total:.0%} of the training images are of {_name(names, most[0])}."
    if few := [label for label, count in train.items() if count < _FEW] if total >= _FEW * len(train) else []:
        yield f"{_listed(names, sorted(few))} {'has' if len(few) == 1 else 'have'} fewer than {_FEW} training images."


def _of_boxes(splits: Splits) -> Iterator[str]:
    """Yield boxes that are too small to be seen, and those that are there twice."""
    of_images = [image.boxes for seen in splits.values() for image in seen if image.boxes is not None]
    count = sum(map(len, of_images))
    small = sum(int(((boxes[:, 2:] - boxes[:, :2]) < _SMALL).any(axis=1).sum()) for boxes in of_images)
    twice = sum(len(boxes) - len(np.unique(boxes.round(), axis=0)) for boxes in of_images)
    if small:
        yield f"{small} of {count} boxes are narrower than {_SMALL:g} pixels at the size that the model sees."
    if twice:
        yield f"{twice} of {count} boxes are there twice in their image."


def _are_single(seen: Sequence[Seen]) -> bool:
    return all(len(image.classes) == 1 for image in seen)


def _name(names: Sequence[str], label: int) -> str:
    return names[label] if label < len(names) else str(label)


def _listed(names: Sequence[str], labels: Sequence[int]) -> str:
    return first_of([_name(names, label) for label in labels], _MOST_NAMED)


@contextmanager
def _noted() -> Iterator[list[str]]:
    """Collect the warnings of the data room."""
    notes = _Notes(logging.WARNING)
    logging.getLogger("cuelight.data").addHandler(notes)
    try:
        yield notes.messages
    finally:
        logging.getLogger("cuelight.data").removeHandler(notes)


class _Notes(logging.Handler):
    def __init__(self, level: int) -> None:
        super().__init__(level)
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.messages.append(record.getMessage())
