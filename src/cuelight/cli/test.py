"""``cuelight test``."""

from __future__ import annotations

import argparse

from cuelight.cli.display import begin, print_summary, subject_of
from cuelight.runs.run import Run


def run(arguments: argparse.Namespace) -> int:
    """Evaluate a checkpoint."""
    display = begin(arguments)
    trained = Run.load(arguments.run, arguments.overrides)
    trained.display = display
    result = trained.test(subject_of(arguments), arguments.view)
    if not arguments.quiet:
        print_summary(result, arguments.source)
    return 0
