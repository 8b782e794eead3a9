"""The commands on a trained run: ``test``, ``export``, ``archive``, ``finish`` and ``upload``."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

from rich.markup import escape

from cuelight.callbacks.added.progress import ProgressDisplay
from cuelight.cli.display import begin, print_result, report_failures, two_columns
from cuelight.runs.run import Run
from cuelight.utils.console import make_console
from cuelight.utils.files import short_path
from cuelight.utils.journal import lacking


def test(arguments: argparse.Namespace) -> int:
    """Evaluate a checkpoint."""
    print_result(_open(arguments).test(_checkpoint(arguments), arguments.view), arguments)
    return 0


def export(arguments: argparse.Namespace) -> int:
    """Export a checkpoint."""
    return _write(arguments, Run.export)


def archive(arguments: argparse.Namespace) -> int:
    """Write a checkpoint as NN Archive."""
    return _write(arguments, Run.archive)


def finish(arguments: argparse.Namespace) -> int:
    """Run the missing steps after a training. The exit code is 1 if one failed."""
    result = _open(arguments).finish()
    print_result(result, arguments)
    return report_failures(result, arguments.source)


def upload(arguments: argparse.Namespace) -> int:
    """Send the trackers of a run what they lack. The exit code is 1 if this failed."""
    run = _open(arguments)
    waiting = lacking(run.directory, only_waiting=True) if run.directory else {}
    outcome = run.upload()
    left = lacking(run.directory, only_waiting=True) if run.directory else {}
    for receiver in [] if arguments.quiet else waiting.keys() - left.keys():
        sent = waiting[receiver].removesuffix(" not sent yet")
        make_console().print(f"sent to {receiver}: {sent}", markup=False)
    if outcome.status == "failed":  # which is in the log
        return 1
    if outcome.status == "ok" and not arguments.quiet:
        table = two_columns()
        table.add_row("checkpoint", f"{escape(outcome.checkpoint)}  (weights {outcome.weights_fingerprint[:12]})")
        for name, sent in outcome.details["uploads"].items():
            table.add_row(name, f"{escape(sent['where'])}  (step {sent['step']}, sha256 {sent['sha256'][:12]})")
        make_console().print(table)
    return 0


def _open(arguments: argparse.Namespace) -> Run:
    console = begin(arguments)
    trained = Run.load(arguments.run, arguments.overrides)
    trained.display = ProgressDisplay(console) if console else None
    return trained


def _checkpoint(arguments: argparse.Namespace) -> Path | None:
    """Return the checkpoint that a command was given; ``None`` for a run directory."""
    path = Path(arguments.run)
    return path if path.is_file() else None


def _write(arguments: argparse.Namespace, verb: Callable[..., Path]) -> int:
    """Write a file from a checkpoint with ``verb``, a method of ``Run``, and print its path."""
    path = verb(_open(arguments), _checkpoint(arguments), arguments.output, arguments.prefer)
    if not arguments.quiet:
        make_console().print(short_path(path.absolute()), highlight=False)
    return 0
