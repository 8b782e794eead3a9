"""``cuelight verify``."""

from __future__ import annotations

import argparse
import shlex
from dataclasses import asdict
from pathlib import Path

from rich.markup import escape

from cuelight.cli.display import begin, print_hint, print_json, two_columns
from cuelight.errors import NoSuchRunError
from cuelight.train_end.verifying import verify
from cuelight.utils.console import make_console
from cuelight.utils.journal import lacking
from cuelight.utils.run_directory import find_run_directory


def run(arguments: argparse.Namespace) -> int:
    """Check that the shipped weights are the measured ones. The exit code is 1 if not, or with nothing to check."""
    begin(arguments)
    directory = find_run_directory(Path(arguments.run))
    if directory is None:
        raise NoSuchRunError(f"{arguments.run}: this checkpoint is outside of any run directory. Expected one.")
    checks = verify(directory)
    if not checks:
        print_hint(f"error: {arguments.run}: no post-training step has written anything. Run: cuelight finish")
        return 1
    all_ok = all(check.ok for check in checks)
    if arguments.json:
        print_json([asdict(check) for check in checks])
    elif not arguments.quiet or not all_ok:
        table = two_columns()
        for check in checks:
            mark = "[green]ok[/green]" if check.ok else "[red]wrong[/red]"
            table.add_row(check.subject, f"{mark}  {escape(check.detail)}")
        make_console().print(table)
    if all_ok:
        return 0
    if lacking(directory, only_waiting=True):
        print_hint(f"To send what a tracker lacks: cuelight upload {shlex.quote(arguments.run)}.")
    print_hint(
        f"To repeat the configured steps: cuelight finish {shlex.quote(arguments.run)}. To test another split again: "
        "cuelight test --view."
    )
    return 1
