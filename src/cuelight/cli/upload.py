"""``cuelight upload``."""

from __future__ import annotations

import argparse

from rich.markup import escape

from cuelight.cli.display import begin, output_console, print_hint, two_columns
from cuelight.runs.run import Run
from cuelight.train_end.outcomes import Outcome


def run(arguments: argparse.Namespace) -> int:
    """Send the trackers of a run what they lack. The exit code is 1 if this failed."""
    display = begin(arguments)
    trained = Run.load(arguments.run, arguments.overrides)
    trained.display = display
    outcome = trained.upload()
    if outcome.status == "failed":
        print_hint(f"error: {outcome.reason}")
        return 1
    if outcome.status == "ok" and not arguments.quiet:
        _print(outcome)
    return 0


def _print(outcome: Outcome) -> None:
    table = two_columns()
    table.add_row("checkpoint", f"{escape(outcome.checkpoint)}  (weights {outcome.weights_fingerprint[:12]})")
    for name, sent in outcome.details["uploads"].items():
        table.add_row(name, f"{escape(sent['where'])}  (step {sent['step']}, sha256 {sent['sha256'][:12]})")
    output_console().print(table)
