"""``cuelight finish``."""

from __future__ import annotations

import argparse

from cuelight.cli.display import begin, print_summary, report_failures
from cuelight.runs.run import Run


def run(arguments: argparse.Namespace) -> int:
    """Run the missing steps after a training. The exit code is 1 if one failed."""
    display = begin(arguments)
    trained = Run.load(arguments.run, arguments.overrides)
    trained.display = display
    result = trained.finish()
    if not arguments.quiet:
        print_summary(result, arguments.source)
    return report_failures(result, arguments.source)
