"""``cuelight test``."""

from __future__ import annotations

import argparse
from pathlib import Path

from cuelight.cli.display import begin, print_summary
from cuelight.run import Run


def run(arguments: argparse.Namespace) -> int:
    """Measure a checkpoint.

    Args:
        arguments: The parsed command line.

    Returns:
        The exit code.
    """
    display = begin(arguments)
    trained = Run.load(arguments.run, arguments.overrides)
    trained.display = display
    result = trained.test(arguments.run if Path(arguments.run).is_file() else None, arguments.view)
    if not arguments.quiet:
        print_summary(result, arguments.source)
    return 0
