"""``cuelight report``."""

from __future__ import annotations

import argparse
import sys

from cuelight.report import write_report
from cuelight.utils.files import short_path


def run(arguments: argparse.Namespace) -> int:
    """Write a run as one HTML page, and print its path."""
    page = write_report(arguments.run, arguments.output)
    if not arguments.quiet:
        sys.stdout.write(f"{short_path(page)}\n")
    return 0
