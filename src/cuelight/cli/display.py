"""Output of the commands: log lines, progress, and the table at the end."""

from __future__ import annotations

import argparse
import logging
import shlex
import sys
import threading
import warnings
from collections.abc import Sequence

from rich.console import Console
from rich.logging import RichHandler
from rich.markup import escape
from rich.table import Table

from cuelight.callbacks.added.progress import ProgressDisplay
from cuelight.cli.console import HidingConsole
from cuelight.cli.screen import HidingFormatter
from cuelight.registry import load_source
from cuelight.runs.result import Result
from cuelight.train_end.outcomes import Outcome
from cuelight.train_end.running import TrainEndError
from cuelight.utils.files import short_path
from cuelight.utils.redaction import reason_of

logger = logging.getLogger(__name__)

# Warnings of Lightning that a YAML file cannot act on, or that Cuelight handles itself.
_NOISE = (
    r".*does not have many workers.*",
    r".*is smaller than the logging interval.*",
    r".*Checkpoint directory .* exists and is not empty.*",
    r".*Experiment logs directory .* exists and is not empty.*",
    r".*isinstance\(treespec, LeafSpec\).*",
)


def set_up_display(quiet: bool) -> ProgressDisplay | None:
    """Send log lines to standard error; return the callback that shows the progress, ``None`` if quiet."""
    console = HidingConsole(stderr=True, soft_wrap=True)
    handler: logging.Handler = logging.StreamHandler()
    if console.is_terminal:
        handler = RichHandler(console=console, show_time=False, show_path=False, markup=False)
    handler.setFormatter(HidingFormatter("%(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.getLogger("cuelight").setLevel(logging.WARNING if quiet else logging.INFO)
    for name in ("lightning", "lightning.pytorch", "lightning.fabric"):
        library = logging.getLogger(name)
        library.handlers.clear()
        library.propagate = True
        library.setLevel(logging.WARNING)
    logging.getLogger("urllib3").setLevel(logging.ERROR)  # it logs every retry; the tracker reports the failure
    logging.captureWarnings(capture=True)
    threading.excepthook = _report_thread
    for noise in _NOISE:
        warnings.filterwarnings("ignore", message=noise)
    return None if quiet else ProgressDisplay(console)


def _report_thread(failure: threading.ExceptHookArgs) -> None:
    """Log the end of a thread by a file that cannot be written, such as that of TensorBoard; else print a traceback."""
    if isinstance(failure.exc_value, OSError):
        logger.warning("A background thread failed: %s", reason_of(failure.exc_value))
    else:
        threading.__excepthook__(failure)


def begin(arguments: argparse.Namespace) -> ProgressDisplay | None:
    """Set up the display and load the ``--source`` files; return what ``set_up_display`` returns."""
    display = set_up_display(arguments.quiet)
    for source in arguments.source:
        load_source(source)
    return display


def output_console() -> Console:
    """Return the console for standard output. If it is no terminal, lines are not broken at 80 columns."""
    console = HidingConsole(highlight=False)
    return console if console.is_terminal else HidingConsole(highlight=False, width=200)


def two_columns() -> Table:
    """Return an empty table for names and texts, without lines."""
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    return table


def print_hint(text: str) -> None:
    """Print a line to standard error, also when quiet."""
    sys.stderr.write(f"{text}\n")


def print_summary(result: Result, sources: Sequence[str]) -> None:
    """Print outcomes, best checkpoint, metrics and next commands of a run; these repeat the ``--source`` files."""
    table = two_columns()
    for outcome in result.outcomes:
        table.add_row(outcome.step, _what_became(outcome))
    best = result.best
    if best:
        table.add_row("best checkpoint", f"{short_path(best.path)}  ({best.monitor} {best.score:.4f})")
    if result.checkpoint and (best is None or result.checkpoint != best.path):
        table.add_row("measured", short_path(result.checkpoint))
    for name, value in result.metrics.items():
        table.add_row(name, f"[bold]{value:.4f}[/bold]")
    if result.directory:
        run = shlex.quote(short_path(result.directory))
        table.add_row("files", short_path(result.directory))
        options = source_options(sources)
        table.add_row("see the curves", f"tensorboard --logdir {run}")
        table.add_row("see the report", f"cuelight report {run}")
        table.add_row("test again", f"cuelight test {run}{options}")
        table.add_row("predict images", f"cuelight predict {run} IMAGES{options}")
        table.add_row("explain images", f"cuelight explain {run} IMAGES{options}")
        table.add_row("train longer", f"cuelight train --resume {run} trainer.epochs=N{options}")
    console = output_console()
    console.print()
    console.print(table)


def report_failures(result: Result, sources: Sequence[str]) -> int:
    """Print which steps after the training failed, and how to run them again; return the exit code."""
    if not result.failed or result.directory is None:
        return 0
    error = TrainEndError(result.outcomes, result.directory)
    again = f"cuelight finish {shlex.quote(short_path(result.directory))}{source_options(sources)}"
    print_hint(f"error: {error}\nAfter fixing the cause, run: {again}")
    return 1


def _what_became(outcome: Outcome) -> str:
    if outcome.status == "ok":
        written = [*outcome.files, *(sent["where"] for sent in outcome.details.get("uploads", {}).values())]
        return f"[green]ok[/green]  {escape(', '.join(written))}  [dim]{outcome.seconds:.1f} s[/dim]"
    color = "red" if outcome.status == "failed" else "yellow"
    return f"[{color}]{outcome.status}[/{color}]  {escape(outcome.reason)}"


def source_options(sources: Sequence[str]) -> str:
    """Return the ``--source`` options to append to a suggested command."""
    return "".join(f" --source {shlex.quote(source)}" for source in sources)
