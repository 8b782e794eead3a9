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
    from cuelight.utils.run_directory import find_run_directory

    directory = find_run_directory(Path(arguments.run))
    if directory is None:
        return False
    return _nothing_to_finish(arguments, directory) if command == "finish" else _nothing_to_send(arguments, directory)


def _nothing_to_finish(arguments: argparse.Namespace, directory: Path) -> bool:
    from cuelight.cli.display import print_json, print_outcomes
    from cuelight.runs.settled import settled_outcomes

    outcomes = settled_outcomes(directory)
    if outcomes is None:
        return False
    if arguments.json:
        print_json([asdict(outcome) for outcome in outcomes])
    elif not arguments.quiet:
        print_outcomes(outcomes)
        sys.stderr.write(f"Nothing to do: {arguments.run} has not changed since all steps were done.\n")
    return True


def _nothing_to_send(arguments: argparse.Namespace, directory: Path) -> bool:
    from cuelight.config import load_config
    from cuelight.errors import ConfigError
    from cuelight.utils.journal import lacking
    from cuelight.utils.run_directory import CHECKPOINT_FOLDER, CONFIG_FILE

    try:
        sends = load_config(directory / CONFIG_FILE).tracker.senders
    except ConfigError:
        return False  # reported by the command
    if sends or lacking(directory) or not any((directory / CHECKPOINT_FOLDER).glob("*.ckpt")):
        return False
    if not arguments.quiet:
        sys.stderr.write(
            f"Nothing to do: {arguments.run} has no tracker to send to. Set one, such as "
            "tracker.mlflow.tracking_uri=...\n"
        )
    return True
