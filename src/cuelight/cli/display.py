"""How a command shows what it does: log lines, progress and the table at the end."""

from __future__ import annotations

import argparse
import logging
import shlex
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.logging import RichHandler
from rich.markup import escape
from rich.table import Table

from cuelight.callbacks.added.progress import ProgressDisplay
from cuelight.registry import load_source
from cuelight.runs.result import Result
from cuelight.train_end.outcomes import Outcome
from cuelight.train_end.running import TrainEndError
from cuelight.utils.files import short_path

# Advice of Lightning's that a user of a YAML file cannot follow, or that Cuelight has seen to.
_NOISE = (
    r".*does not have many workers.*",
    r".*is smaller than the logging interval.*",
    r".*Checkpoint directory .* exists and is not empty.*",
    r".*Experiment logs directory .* exists and is not empty.*",
    r".*isinstance\(treespec, LeafSpec\).*",
)


def set_up_display(quiet: bool) -> ProgressDisplay | None:
    """Send log lines to standard error, and choose how progress is shown.

    Args:
        quiet: Show warnings and errors only.

    Returns:
        The callback that shows the progress; ``None`` if quiet.
    """
    console = Console(stderr=True, soft_wrap=True)
    handler: logging.Handler = logging.StreamHandler()
    if console.is_terminal:
        handler = RichHandler(console=console, show_time=False, show_path=False, markup=False)
    logging.basicConfig(level=logging.WARNING, handlers=[handler], format="%(message)s", force=True)
    logging.getLogger("cuelight").setLevel(logging.WARNING if quiet else logging.INFO)
    for name in ("lightning", "lightning.pytorch", "lightning.fabric"):
        library = logging.getLogger(name)
        library.handlers.clear()
        library.propagate = True
        library.setLevel(logging.WARNING)
    logging.getLogger("urllib3").setLevel(logging.ERROR)  # each new try, beside what a tracker's own message says
    logging.captureWarnings(capture=True)
    for noise in _NOISE:
        warnings.filterwarnings("ignore", message=noise)
    return None if quiet else ProgressDisplay(console)


def begin(arguments: argparse.Namespace) -> ProgressDisplay | None:
    """Do what every command that runs something does first: set up the display and load parts of one's own.

    Args:
        arguments: The parsed command line, with ``quiet`` and ``source``.

    Returns:
        The callback that shows the progress; ``None`` if quiet.
    """
    display = set_up_display(arguments.quiet)
    for source in arguments.source:
        load_source(source)
    return display


def output_console() -> Console:
    """Make the console for standard output; where it is no terminal, lines are not broken at 80 columns.

    Returns:
        The console.
    """
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=200)


def two_columns() -> Table:
    """Make a table of names and texts, without lines.

    Returns:
        The empty table.
    """
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    return table


def print_hint(text: str) -> None:
    """Print what to do next to standard error, also when quiet.

    Args:
        text: One line.
    """
    sys.stderr.write(f"{text}\n")


def print_summary(result: Result, sources: Sequence[str]) -> None:
    """Print what a run came to: best checkpoint, results, files, next commands.

    Args:
        result: What ``Run.train`` or ``Run.test`` returned.
        sources: The files given by ``--source``, which the next commands need too.
    """
    table = two_columns()
    for outcome in result.outcomes:
        table.add_row(outcome.step, _what_became(outcome))
    if result.best:
        table.add_row(
            "best checkpoint", f"{short_path(result.best.path)}  ({result.best.monitor} {result.best.score:.4f})"
        )
    if result.checkpoint and (result.best is None or result.checkpoint != result.best.path):
        table.add_row("measured", short_path(result.checkpoint))
    for name, value in result.metrics.items():
        table.add_row(name, f"[bold]{value:.4f}[/bold]")
    if result.directory:
        run = shlex.quote(short_path(result.directory))
        table.add_row("files", short_path(result.directory))
        table.add_row("see the curves", f"tensorboard --logdir {run}")
        table.add_row("see the report", f"cuelight report {run}")
        table.add_row("test again", f"cuelight test {run}{source_options(sources)}")
        table.add_row("predict images", f"cuelight predict {run} IMAGES{source_options(sources)}")
        table.add_row("explain images", f"cuelight explain {run} IMAGES{source_options(sources)}")
        table.add_row("train longer", f"cuelight train --resume {run} trainer.epochs=N{source_options(sources)}")
    console = output_console()
    console.print()
    console.print(table)


def report_failures(result: Result, sources: Sequence[str]) -> int:
    """Say which steps after a training failed, and how to run them again.

    Args:
        result: What ``Run.train`` or ``Run.finish`` returned.
        sources: The files given by ``--source``, which the next command needs too.

    Returns:
        The exit code: 1 if a step failed.
    """
    if not result.failed or result.directory is None:
        return 0
    error = TrainEndError(result.outcomes, result.directory)
    again = f"cuelight finish {shlex.quote(short_path(result.directory))}{source_options(sources)}"
    print_hint(f"error: {error}\nWhen the cause is mended, run what is missing with: {again}")
    return 1


def _what_became(outcome: Outcome) -> str:
    if outcome.status == "ok":
        uploaded = [sent["where"] for sent in outcome.details.get("uploads", {}).values()]
        return (
            f"[green]ok[/green]  {escape(', '.join([*outcome.files, *uploaded]))}  [dim]{outcome.seconds:.1f} s[/dim]"
        )
    color = "red" if outcome.status == "failed" else "yellow"
    return f"[{color}]{outcome.status}[/{color}]  {escape(outcome.reason)}"


def source_options(sources: Sequence[str]) -> str:
    """Repeat the options by which parts of one's own were given.

    Args:
        sources: The files.

    Returns:
        What to add to a command; empty without files.
    """
    return "".join(f" --source {shlex.quote(source)}" for source in sources)


def subject_of(arguments: argparse.Namespace) -> Path | None:
    """Return which checkpoint a command was given.

    Args:
        arguments: The parsed command line, with ``run``.

    Returns:
        The checkpoint; ``None`` if it was given a run directory.
    """
    path = Path(arguments.run)
    return path if path.is_file() else None
