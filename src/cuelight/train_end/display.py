"""Terminal output of the steps after a training."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.markup import escape
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from cuelight.train_end.outcomes import Outcome


@contextmanager
def showing(name: str, console: Console | None) -> Iterator[Callable[[str], None]]:
    """Show a spinner with the stage and the elapsed time; nothing without a terminal.

    Yields:
        A function that sets the name of the stage.
    """
    if console is None or not console.is_terminal:
        yield lambda _: None
        return
    columns = SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn()
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task(name, total=None)
        yield lambda stage: progress.update(task, description=f"{name}: {stage}")


def print_metrics(outcome: Outcome) -> None:
    """Print the metrics of a test as a table, to standard error."""
    table = Table()
    table.add_column("metric")
    table.add_column("value", justify="right")
    for name, value in outcome.details["metrics"].items():
        table.add_row(escape(name), f"{value:.4f}")
    Console(stderr=True).print(f"{outcome.step}: {outcome.checkpoint}", table, sep="\n")
