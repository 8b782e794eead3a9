"""Answer ``finish`` and ``upload`` before the slow imports, if they have nothing to do."""

from __future__ import annotations

import argparse
import sys
from dataclasses import asdict
from pathlib import Path


def nothing_to_do(arguments: argparse.Namespace) -> bool:
    """Return whether a command has nothing to do, and say so."""
    _, _, command = arguments.command.partition(":")
    if command not in ("finish", "upload") or arguments.overrides or not Path(arguments.run).is_dir():
        return False
    from cuelight.cli.display import print_json, print_outcomes
    from cuelight.runs.settled import settled_outcomes

    outcomes = settled_outcomes(Path(arguments.run).resolve(), command)
    if outcomes is None:
        return False
    if command == "finish" and arguments.json:
        print_json([asdict(outcome) for outcome in outcomes])
    elif not arguments.quiet:
        if command == "finish":
            print_outcomes(outcomes)
        sys.stderr.write(f"Nothing to do: {arguments.run} has not changed since it was done.\n")
    return True
