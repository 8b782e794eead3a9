"""``cuelight archive``."""

from __future__ import annotations

import argparse

from cuelight.cli.export import write
from cuelight.runs.run import Run


def run(arguments: argparse.Namespace) -> int:
    """Write a checkpoint as NN Archive."""
    return write(arguments, Run.archive)
