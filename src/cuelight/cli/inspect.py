"""``cuelight inspect``."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path

from rich.markup import escape
from rich.table import Table

from cuelight.cli.display import begin, print_json
from cuelight.cli.images import CHECKPOINT_SUFFIX, with_bar
from cuelight.inspection.inspecting import inspect_data, write_inspection
from cuelight.report.inspected import INSPECTION_FOLDER, Inspection, write_inspection_page
from cuelight.runs.build import build_data
from cuelight.runs.run import Run
from cuelight.utils.console import make_console
from cuelight.utils.files import short_path

_MOST_ROWS = 20


def run(arguments: argparse.Namespace) -> int:
    """Look at every image of the data of a configuration, and write and print what is in it."""
    console = begin(arguments)
    path = Path(arguments.config)
    trained = path.is_dir() or path.suffix == CHECKPOINT_SUFFIX
    opened = (Run.load if trained else Run.from_yaml)(path, arguments.overrides)
    folder = Path(arguments.output) if arguments.output else (opened.directory or Path()) / INSPECTION_FOLDER
    found, pictures = inspect_data(
        build_data(opened.config), lambda found, count: with_bar(found, "reading images", count, console)
    )
    write_inspection(found, pictures, folder)
    page = write_inspection_page(opened.config.name, found, folder)
    if arguments.json:
        print_json(asdict(found))
    elif not arguments.quiet:
        _print(found, page)
    return 0


def _print(inspected: Inspection, page: Path) -> None:
    console = make_console()
    for title, columns, rows in inspected.titled_tables():
        table = Table(box=None, padding=(0, 2, 0, 0), title=title, title_justify="left", title_style="bold")
        for column, value in zip(columns, rows[-1], strict=True):
            table.add_column(column, justify="right" if isinstance(value, (int, float)) else "left")
        for row in rows[:_MOST_ROWS]:
            table.add_row(*(escape(str(value)) for value in row))
        console.print(table)
        if len(rows) > _MOST_ROWS:
            console.print(f"and {len(rows) - _MOST_ROWS} more")
        console.print()
    for finding in inspected.findings:
        console.print(f"[yellow]{escape(finding)}[/yellow]")
    console.print(f"files  {short_path(page.absolute())}", markup=False)
