"""``cuelight export``."""

from __future__ import annotations

import argparse

from cuelight.cli.display import begin, output_console, short, subject_of
from cuelight.run import Run


def run(arguments: argparse.Namespace) -> int:
    """Export a checkpoint.

    Args:
        arguments: The parsed command line.

    Returns:
        The exit code.
    """
    display = begin(arguments)
    trained = Run.load(arguments.run, arguments.overrides)
    trained.display = display
    path = trained.export(subject_of(arguments), arguments.output, arguments.prefer)
    if not arguments.quiet:
        output_console().print(short(path.absolute()), highlight=False)
    return 0
