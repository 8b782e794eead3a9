"""``cuelight export``."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

from cuelight.cli.display import begin, output_console, subject_of
from cuelight.runs.run import Run
from cuelight.utils.files import short_path


def run(arguments: argparse.Namespace) -> int:
    """Export a checkpoint."""
    return write(arguments, Run.export)


def write(arguments: argparse.Namespace, verb: Callable[..., Path]) -> int:
    """Write a file from a checkpoint with ``verb``, a method of ``Run``, and print its path."""
    display = begin(arguments)
    trained = Run.load(arguments.run, arguments.overrides)
    trained.display = display
    path = verb(trained, subject_of(arguments), arguments.output, arguments.prefer)
    if not arguments.quiet:
        output_console().print(short_path(path.absolute()), highlight=False)
    return 0
