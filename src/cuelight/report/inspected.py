"""What `cuelight inspect` has found in the data: a page of its own, and a section of the report."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cuelight.report.galleries import Gallery, gallery
from cuelight.report.reading import Problems
from cuelight.report.rendering import render
from cuelight.utils.files import read_json, write_text

INSPECTION_FOLDER, INSPECTION_FILE, INSPECTION_PAGE = "inspection", "inspection.json", "inspection.html"
_REMEDY = "Run `cuelight inspect` again."
_TITLES = {
    "splits": "Images",
    "classes": "Classes",
    "sizes": "Sizes in pixels",
    "modes": "Color modes",
    "repeated": "Repeated images",
    "unreadable": "Images that cannot be read",
}


@dataclass(frozen=True)
class Inspected:
    """The findings, and tables with a title, the names of the columns, and rows."""

    findings: list[str]
    notes: list[str]
    tables: list[tuple[str, list[str], list[list[Any]]]]


def read_inspection(folder: Path) -> Inspected | None:
    """Return what was found; ``None`` if nothing was inspected."""
    found = read_json(folder / INSPECTION_FILE, _REMEDY)
    if found is None:
        return None
    tables = [(title, *_table(found["tables"][key])) for key, title in _TITLES.items() if found["tables"].get(key)]
    return Inspected([*map(str, found["findings"])], [*map(str, found["notes"])], tables)


def sample_gallery(directory: Path, folder: str) -> Gallery:
    """Return the pictures of samples, those without augmentation first."""
    files = sorted((directory / folder).glob("samples*.png"))
    captions = {"samples": "as the model sees them", "samples_augmented": "the same with augmentation"}
    return gallery(directory, folder, [(file, captions.get(file.stem, file.stem)) for file in files], "training images")


def write_inspection_page(name: str, folder: Path) -> Path:
    """Write what was found in a folder as one HTML page in it that needs no other file; return the page."""
    contents = {
        "name": name,
        "links": ".",
        "inspected": read_inspection(folder),
        "samples": sample_gallery(folder, "."),
        "problems": Problems(),
        "has_commands": False,
    }
    write_text(folder / INSPECTION_PAGE, render(contents, "inspection.html"))
    return folder / INSPECTION_PAGE


def _table(rows: list[Mapping[str, Any]]) -> tuple[list[str], list[list[Any]]]:
    columns = list(dict.fromkeys(key for row in rows for key in row))
    return columns, [[row.get(column, "") for column in columns] for row in rows]
