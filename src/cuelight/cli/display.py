"""Output of the commands: log lines, progress, and the table at the end."""

from __future__ import annotations

import argparse
import logging
import shlex
import sys
import threading
import warnings
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from cuelight.cli.screen import hidden_in
from cuelight.utils.console import HidingConsole, make_console
from cuelight.utils.files import as_json, short_path
from cuelight.utils.redaction import reason_of

logger = logging.getLogger(__name__)

if TYPE_CHECKING:  # they import torch and pydantic
    from cuelight.runs.result import Result
    from cuelight.train_end.outcomes import Outcome

_NAMES = 17  # the width of a column of names, so that the results and the commands below them are aligned
# Warnings of Lightning that a YAML file cannot act on, or that Cuelight handles itself.
_NOISE = (
    r".*does not have many workers.*",
    r".*is smaller than the logging interval.*",
    r".*Checkpoint directory .* exists and is not empty.*",
    r".*Experiment logs directory .* exists and is not empty.*",
    r".*isinstance\(treespec, LeafSpec\).*",
    r"Found \d+ module\(s\) in eval mode at the start of training.*",  # as model.freeze wants it
)


class HidingFormatter(logging.Formatter):
    """Hides secrets before a handler breaks lines and sets colors."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the message with its traceback."""
        return hidden_in(super().format(record))


def set_up_display(quiet: bool) -> Console | None:
    """Send log lines to standard error; return the console for the progress, ``None`` if quiet."""
    console = HidingConsole(stderr=True, soft_wrap=True)
    handler: logging.Handler = logging.StreamHandler()
    if console.is_terminal:
        from rich.logging import RichHandler  # slow

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
    return None if quiet else console


def _report_thread(failure: threading.ExceptHookArgs) -> None:
    """Log the end of a thread by a file that cannot be written, such as that of TensorBoard; else print a traceback."""
    if isinstance(failure.exc_value, OSError):
        logger.warning("A background thread failed: %s", reason_of(failure.exc_value))
    else:
        threading.__excepthook__(failure)


def begin(arguments: argparse.Namespace) -> Console | None:
    """Set up the display and load the ``--source`` files; return what ``set_up_display`` returns."""
    from cuelight.registry import load_source  # slow, and `finish` with nothing to do loads no file

    display = set_up_display(arguments.quiet)
    for source in arguments.source:
        load_source(source)
    return display


def two_columns(least: int | None = None) -> Table:
    """Return an empty table for names, at least so many characters wide, and texts; without lines."""
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True, min_width=least)
    table.add_column(overflow="fold")
    return table


def print_hint(text: str) -> None:
    """Print a line to standard error, also when quiet."""
    sys.stderr.write(f"{text}\n")


def print_json(value: Any) -> None:
    """Print plain data; paths become texts, and numbers that are not finite become null."""
    sys.stdout.write(as_json(value))


def print_outcomes(outcomes: Sequence[Outcome]) -> None:
    """Print what became of each step after the training."""
    make_console().print(_table_of(outcomes))


def _table_of(outcomes: Sequence[Outcome]) -> Table:
    table = two_columns(_NAMES)
    for outcome in outcomes:
        table.add_row(outcome.step, _what_became(outcome))
    return table


def print_result(result: Result, arguments: argparse.Namespace) -> None:
    """Print a result as a table, as JSON with ``--json``, or not at all with ``--quiet``."""
    if arguments.json:
        print_json(asdict(result))
    elif not arguments.quiet:
        print_summary(result, arguments.source)


def print_summary(result: Result, sources: Sequence[str]) -> None:
    """Print outcomes, best checkpoint and metrics of a run, and to standard error the next commands."""
    table = _table_of(result.outcomes)
    best = result.best
    if best:
        table.add_row("best checkpoint", f"{short_path(best.path)}  ({best.monitor} {best.score:.4f})")
    measured = [f"{result.data['images']} images"] if "images" in result.data else []
    measured += [f"of {short_path(Path(result.data['path']).absolute())}"] if "path" in result.data else []
    if result.checkpoint and (best is None or result.checkpoint != best.path):
        measured += [f"with {short_path(result.checkpoint)}"]
    if measured:
        table.add_row("measured", escape(" ".join(measured).removeprefix("with ")))
    for name, value in result.metrics.items():
        table.add_row(name, f"[bold]{value:.4f}[/bold]")
    if result.directory:
        table.add_row("files", short_path(result.directory))
    hints = make_console(stderr=True)
    hints.print()
    make_console().print(table)
    if result.directory:
        hints.print(_next_commands(result, shlex.quote(short_path(result.directory)), source_options(sources)))


def _next_commands(result: Result, run: str, options: str) -> Table:
    table = two_columns(_NAMES)
    table.add_row("see the curves", f"tensorboard --logdir {run}")
    table.add_row("see the report", f"cuelight report {run}")
    if result.best:
        table.add_row("test again", f"cuelight test {run}{options}")
        table.add_row("predict images", f"cuelight predict {run} IMAGES{options}")
        table.add_row("explain images", f"cuelight explain {run} IMAGES{options}")
    if result.best or not result.failed:
        table.add_row("train longer", f"cuelight train --resume {run} trainer.epochs=N{options}")
    return table


def report_failures(result: Result, sources: Sequence[str]) -> int:
    """Print which steps after the training failed, and how to run them again; return the exit code."""
    if not result.failed or result.directory is None:
        return 0
    from cuelight.train_end.outcomes import TrainEndError

    print_hint(f"error: {TrainEndError(result.outcomes, result.directory)}")
    if result.best:  # otherwise there are no weights, such as after a loss of NaN
        again = f"cuelight finish {shlex.quote(short_path(result.directory))}{source_options(sources)}"
        print_hint(f"After fixing the cause, run: {again}")
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
