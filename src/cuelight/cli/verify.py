"""``cuelight verify``."""

from __future__ import annotations

import argparse
import shlex

from rich.markup import escape

from cuelight.cli.display import begin, output_console, print_hint, two_columns
from cuelight.runs.run import Run
from cuelight.train_end.verifying import Check


def run(arguments: argparse.Namespace) -> int:
    """Check that the shipped weights are the measured ones. The exit code is 1 if not, or with nothing to check."""
    begin(arguments)
    checks = Run.load(arguments.run).verify()
    if not checks:
        print_hint(f"error: {arguments.run}: no post-training step has written anything. Run: cuelight finish")
        return 1
    if not arguments.quiet or not all(check.ok for check in checks):
        _print(checks)
    if all(check.ok for check in checks):
        return 0
    print_hint(
        f"To repeat the configured steps: cuelight finish {shlex.quote(arguments.run)}. To test another split again: "
        "cuelight test --view."
    )
    return 1


def _print(checks: list[Check]) -> None:
    table = two_columns()
    for check in checks:
        mark = "[green]ok[/green]" if check.ok else "[red]wrong[/red]"
        table.add_row(check.subject, f"{mark}  {escape(check.detail)}")
    output_console().print(table)
