"""What `cuelight inspect` has found in the data: a page of its own, and a section of the report."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
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
    "sizes": "Sizes",
    "modes": "Color modes",
    "duplicates": "Duplicates",
    "unreadable": "Images that cannot be read",
}


@dataclass
class Inspection:
    """What was found in a dataset.

    Args:
        data: The name of the data module.
        tables: Rows by the name of the table.
        findings: What looks wrong, as sentences.
        notes: What the data module has said while it read its files, such as files that are not used.
    """

    data: str
    tables: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    findings: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def titled_tables(self) -> Iterator[tuple[str, list[str], list[list[Any]]]]:
        """Yield the title, the names of the columns, and the rows of each table."""
        for key, title in _TITLES.items():
            rows = self.tables.get(key, [])
            columns = list(dict.fromkeys(column for row in rows for column in row))
            if rows:
                yield title, columns, [[row.get(column, "") for column in columns] for row in rows]


def read_inspection(folder: Path) -> Inspection | None:
    """Return what was found; ``None`` if nothing was inspected."""
    found = read_json(folder / INSPECTION_FILE, _REMEDY)
    return None if found is None else Inspection(**found)


def sample_gallery(directory: Path, folder: str) -> Gallery:
    """Return the pictures of samples, those without augmentation first."""
    files = sorted((directory / folder).glob("samples*.png"))
    captions = {"samples": "as the model sees them", "samples_augmented": "the same with augmentation"}
    return gallery(directory, folder, [(file, captions.get(file.stem, file.stem)) for file in files], "training images")


def write_inspection_page(name: str, found: Inspection, folder: Path) -> Path:
    """Write what was found as one HTML page that needs no other file into a folder with its pictures; return it."""
    contents = {
        "name": name,
        "links": ".",
        "inspected": found,
        "samples": sample_gallery(folder, "."),
        "problems": Problems(),
        "has_commands": False,
    }
    write_text(folder / INSPECTION_PAGE, render(contents, "inspection.html"))
    return folder / INSPECTION_PAGE
