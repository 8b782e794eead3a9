"""``cuelight init``."""

from __future__ import annotations

import argparse
import sys
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from cuelight.cli.schema import SCHEMA_FILE, schema_text
from cuelight.errors import CuelightError, UsageError, did_you_mean
from cuelight.utils.files import write_text

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable


def run(arguments: argparse.Namespace) -> int:
    """Write the starter file of a task, and the schema by which an editor checks it."""
    tasks = starters()
    if arguments.task not in tasks:
        known = ", ".join(tasks)
        raise UsageError(
            f'unknown task "{arguments.task}". Expected one of: {known}.{did_you_mean(arguments.task, tasks)}'
        )
    target = Path(arguments.file)
    try:
        with target.open("x") as file:
            file.write(tasks[arguments.task].read_text())
    except FileExistsError:
        raise UsageError(f"{target} already exists. Choose another name with --file.") from None
    except OSError as error:
        raise CuelightError(f"{target} cannot be written: {error.strerror}.") from error
    write_text(target.parent / SCHEMA_FILE, schema_text())
    sys.stdout.write(f"{target}\n")
    sys.stderr.write(f"Next: cuelight plan {target}, then cuelight train {target}\n")
    return 0


def starters() -> dict[str, Traversable]:
    """Return the starter files by their task."""
    files = (resources.files("cuelight.cli") / "starters").iterdir()
    return {file.name.removesuffix(".yaml"): file for file in sorted(files, key=lambda file: file.name)}
