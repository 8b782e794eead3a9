"""CSV files with the classes of images."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path

from cuelight.data.base.box_annotations import (
    RELATIVE,
    WHOLE,
    AnnotatedImage,
    AnnotatedObject,
    AnnotationErrors,
    Annotations,
)
from cuelight.data.base.folders import SPLIT_OF
from cuelight.data.base.text_lines import read_rows
from cuelight.data.finding import is_file
from cuelight.errors import DataError

_FORMAT = (
    "Expected columns separated by commas, semicolons or tabs, with their names in the first line: the path of an "
    "image, then either a column for each class with 1, 0, or nothing if it is unknown, or a column labels with names "
    "separated by |; and perhaps a column split."
)
_LIST, _SPLIT = "labels", "split"
VALUES: Mapping[str, bool | None] = {
    **dict.fromkeys(("1", "1.0", "true"), True),
    **dict.fromkeys(("0", "0.0", "false"), False),
    **dict.fromkeys(("", "-1", "-1.0", "nan"), None),
}
"""Whether a class is in the image; ``None`` if unknown. As pandas and CheXpert write them, too."""


def read_label_table(
    file: Path, root: Path, errors: AnnotationErrors, classes: Collection[str] | None = None
) -> Annotations:
    """Return the images of a CSV file with their classes; ``crowd`` if they are unknown.

    Args:
        file: The file.
        root: The folder to which the paths of the images are relative.
        errors: Gets what is wrong with single lines.
        classes: The columns that are read; all if ``None``.

    Raises:
        DataError: The file is not as expected, or has no image for training.
    """
    lines = read_rows(file)
    _, header = next(lines, (0, [""]))
    columns = _class_columns(header, file)
    chosen = [name for name in columns if classes is None or name in classes]
    splits: dict[str, list[AnnotatedImage]] = {split: [] for split in SPLIT_OF.values()}
    for line, cells in lines:
        where = f"{file}: line {line}"
        try:
            split, path, found = _read_line(cells, header, root, chosen)
        except ValueError as error:
            errors.add(where, str(error))
            continue
        objects = [AnnotatedObject(name, WHOLE, unknown, where) for name, unknown in found.items()]
        splits[split].append(AnnotatedImage(str(path), RELATIVE, objects))
    if not splits["train"]:
        raise DataError(f"{file}: there is no image for train. {_FORMAT}")
    names = {each.name for images in splits.values() for image in images for each in image.objects}
    class_names = sorted(names) if _LIST in columns else columns
    return Annotations(class_names, {split: images for split, images in splits.items() if images})


def _class_columns(header: list[str], file: Path) -> list[str]:
    columns = [name for name in header[1:] if name != _SPLIT]
    shown = ",".join(header)
    if not columns:
        raise DataError(f"{file}: there is no column with classes in the first line, {shown!r}. {_FORMAT}")
    if "" in header or len(set(header)) < len(header):
        raise DataError(f"{file}: expected a different name for each column, got {shown!r}. {_FORMAT}")
    return columns


def _read_line(
    cells: list[str], header: list[str], root: Path, columns: list[str]
) -> tuple[str, Path, dict[str, bool]]:
    """Return split and path of an image, and its classes, which are true if unknown; or raise ``ValueError``."""
    if len(cells) != len(header):
        raise ValueError(f"it has {len(cells)} columns, but the first line has {len(header)}")
    row = dict(zip(header, cells, strict=True))
    given = row.get(_SPLIT, "train")
    if (split := SPLIT_OF.get(given.lower())) is None:
        raise ValueError(f"{_SPLIT}: expected train, val or test, got {given!r}")
    path = root / cells[0].replace("\\", "/")
    if not is_file(path):
        raise ValueError(f"there is no file {path}")
    if _LIST in row:
        names = (name.strip() for name in re.split(r"[|;]", row[_LIST]))
        return split, path, dict.fromkeys(filter(None, names), False)
    return split, path, dict(_marked(row, columns))


def _marked(row: Mapping[str, str], columns: Iterable[str]) -> Iterator[tuple[str, bool]]:
    for name in columns:
        value = row[name].lower()
        if value not in VALUES:
            hint = "Name the columns that are classes in data.params.classes, if this is none"
            raise ValueError(f"{name}: expected 1, 0, or -1 or nothing if it is unknown, got {row[name]!r}. {hint}")
        if (present := VALUES[value]) is not False:
            yield name, present is None
