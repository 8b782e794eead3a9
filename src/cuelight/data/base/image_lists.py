"""Lists of images with a label each: CSV files with a header, and text files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from cuelight.data.base.box_annotations import AnnotationErrors
from cuelight.data.base.folders import SPLIT_OF
from cuelight.data.base.label_table import VALUES
from cuelight.data.base.text_lines import read_rows, read_text
from cuelight.data.finding import is_image
from cuelight.errors import DataError, did_you_mean

_CSV_SUFFIXES = (".csv", ".tsv")


class ListedImage(NamedTuple):
    """An entry of a list.

    Args:
        where: File and line, for messages.
        path: The path of the image as it is written, with slashes.
        label: The name of its class.
        split: ``train``, ``val`` or ``test``; empty if the list does not say it.
        group: Its group; empty without a column of groups.
    """

    where: str
    path: str
    label: str
    split: str = ""
    group: str = ""


def read_image_list(file: Path, columns: Mapping[str, str], errors: AnnotationErrors) -> Iterator[ListedImage]:
    """Yield the entries of a list; ``errors`` gets those that are incomplete.

    A file whose name ends in ``.csv`` or ``.tsv`` has a header; ``columns`` has the names of ``path``, ``label`` and,
    if they are used, ``split`` and ``group``. Without a column of labels, each other column is a class, with 1 for its
    images and 0 for others. Another file has a path and a label in each line, or only a path, whose last folder is
    named after the class. ``DataError`` is raised if the file is not like this.
    """
    is_csv = file.suffix.lower() in _CSV_SUFFIXES
    if "group" in columns and not is_csv:
        raise DataError(f"{file}: data.params.group_column needs a CSV file. Use group_by instead.")
    for entry in _read_csv(file, columns, errors) if is_csv else _read_lines(file):
        if entry.label:
            yield entry
        else:
            errors.add(entry.where, "there is no label")


def _read_lines(file: Path) -> Iterator[ListedImage]:
    for number, line in enumerate(map(str.strip, read_text(file).splitlines()), 1):
        where, path = f"{file}: line {number}", PurePosixPath(line.replace("\\", "/"))
        if line and is_image(path.name):
            yield ListedImage(where, str(path), path.parent.name)
        elif line:
            name, label = [*line.rsplit("\t" if "\t" in line else None, 1), ""][:2]
            yield ListedImage(where, name.strip().replace("\\", "/"), label.strip())


def _read_csv(file: Path, columns: Mapping[str, str], errors: AnnotationErrors) -> Iterator[ListedImage]:
    rows = read_rows(file)
    _, header = next(rows, (1, []))
    label, classes = columns["label"], [name for name in header if name and name not in columns.values()]
    _check_header(file, header, columns, classes)
    for number, row in rows:
        where = f"{file}: line {number}"
        if len(row) != len(header):
            errors.add(where, f"expected {len(header)} cells as in the header, got {len(row)}")
            continue
        cells = dict(zip(header, row, strict=True))
        wrong = [name for name in classes if label not in cells and cells[name].lower() not in VALUES]
        labels = [cells[label]] if label in cells else [name for name in classes if VALUES.get(cells[name].lower())]
        found = {key: cells[name] for key, name in columns.items() if name in cells and key != "label"}
        if wrong:
            hint = "If this is no class, name the column of the labels in data.params.columns"
            errors.add(where, f"{wrong[0]}: expected 1 or 0, got {cells[wrong[0]]!r}. {hint}")
        elif len(labels) != 1:
            errors.add(where, f"expected 1 for one class, got {len(labels)} classes")
        elif empty := [columns[key] for key, cell in found.items() if not cell]:
            errors.add(where, f"the column {empty[0]} is empty")
        elif "split" in found and found["split"].lower() not in SPLIT_OF:
            errors.add(where, f'the split is "{found["split"]}"; expected train, val or test')
        else:
            split = SPLIT_OF.get(found.get("split", "").lower(), "")
            path = found["path"].replace("\\", "/")
            yield ListedImage(where, path, labels[0], split, found.get("group", ""))


def _check_header(file: Path, header: list[str], columns: Mapping[str, str], classes: list[str]) -> None:
    if twice := [name for name in header if name and header.count(name) > 1]:
        raise DataError(f"{file}: the header has the column {twice[0]} twice. Rename or remove one of them.")
    for key, name in columns.items():
        if name not in header and name != "split" and (key != "label" or not classes[1:]):
            raise DataError(_missing(file, name, header))


def _missing(file: Path, name: str, header: list[str]) -> str:
    found = ", ".join(header) or "nothing"
    return (
        f"{file}: there is no column {name}.{did_you_mean(name, header)} The header has: {found}. Set "
        "data.params.columns to the names in the header, such as {path: filename, label: class}."
    )
