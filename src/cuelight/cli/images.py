"""What the commands have in common that look at image files."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeVar

from rich.markup import escape
from rich.progress import track
from rich.table import Table

from cuelight.callbacks.added.progress import ProgressDisplay
from cuelight.cli.display import output_console
from cuelight.utils.files import short_path

CHECKPOINT_SUFFIX = ".ckpt"
_MOST_SHOWN = 20


class OfImage(Protocol):
    """What was found in an image file."""

    @property
    def path(self) -> Path:
        """The file."""


Found = TypeVar("Found", bound=OfImage)


def with_bar(found: Iterator[Found], doing: str, count: int, display: ProgressDisplay | None) -> Iterator[Found]:
    """Show how far the images are.

    Args:
        found: What is found in each image, one after another.
        doing: What is done.
        count: How many images there are.
        display: Where the progress is shown, if anywhere.

    Returns:
        The same.
    """
    console = display.console if display is not None else None
    return found if console is None else iter(track(found, doing, count, console=console, transient=True))


def noted(
    found: Iterable[Found], rows: list[dict[str, Any]], row: Callable[[Found], Mapping[str, Any]]
) -> Iterator[Found]:
    """Note what is printed of each image.

    Args:
        found: What is found in each image, one after another.
        rows: Gets a row for each.
        row: What is printed of one.

    Yields:
        The same.
    """
    for one in found:
        rows.append({"image": short_path(one.path.absolute()), **row(one)})
        yield one


def print_images(rows: Sequence[Mapping[str, Any]], folder: Path) -> None:
    """Print what was found in images, and where the files are.

    Args:
        rows: One for each image, all with the same keys; only the first 20 are printed. A column without any text is
            left out.
        folder: Where the files are.
    """
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
