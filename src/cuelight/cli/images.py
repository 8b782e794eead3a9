"""What the commands that read images share."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from rich.markup import escape
from rich.progress import track
from rich.table import Table

from cuelight.callbacks.added.progress import ProgressDisplay
from cuelight.cli.display import output_console
from cuelight.prediction import ImageExplanation, ImagePrediction
from cuelight.utils.files import short_path

CHECKPOINT_SUFFIX = ".ckpt"
_MOST_SHOWN = 20


Found = TypeVar("Found", ImagePrediction, ImageExplanation)


def with_bar(found: Iterator[Found], doing: str, count: int, display: ProgressDisplay | None) -> Iterator[Found]:
    """Return the results with a progress bar, or unchanged without a display."""
    if display is None or display.console is None:
        return found
    return iter(track(found, doing, count, console=display.console, transient=True))


def noted(
    found: Iterable[Found], rows: list[dict[str, Any]], row: Callable[[Found], Mapping[str, Any]]
) -> Iterator[Found]:
    """Append a row for ``print_images`` to ``rows`` as each result passes through."""
    for one in found:
        rows.append({"image": short_path(one.path.absolute()), **row(one)})
        yield one


def print_images(rows: Sequence[Mapping[str, Any]], folder: Path) -> None:
    """Print the first 20 rows, without empty columns, and the output folder. All rows have the same keys."""
    table = Table(box=None, padding=(0, 2, 0, 0))
    columns = [name for name in rows[0] if any(row[name] != "" for row in rows[:_MOST_SHOWN])]
    for name in columns:
        table.add_column(name)
    for row in rows[:_MOST_SHOWN]:
        values = [row[name] for name in columns]
        table.add_row(*(escape(f"{value:.4f}" if isinstance(value, float) else str(value)) for value in values))
    console = output_console()
    console.print(table)
    if len(rows) > _MOST_SHOWN:
        console.print(f"and {len(rows) - _MOST_SHOWN} more images")
    console.print(f"files  {short_path(folder.absolute())}")
