"""``cuelight convert``."""

from __future__ import annotations

import argparse
import sys
from dataclasses import asdict
from pathlib import Path

from rich.table import Table
from rich.text import Text

from cuelight.cli.display import print_hint, print_json
from cuelight.config.loading import read_document
from cuelight.errors import CuelightError, UsageError
from cuelight.migration.programs import PROGRAMS, program_of
from cuelight.utils.console import make_console

_COLORS = {"kept": "green", "approximated": "yellow", "dropped": "red"}


def run(arguments: argparse.Namespace) -> int:
    """Write a configuration of another program as one of Cuelight, and print what became of each setting."""
    source = Path(arguments.config)
    document = read_document(source)
    program = program_of(document.tree)
    if program is None:
        names = " or ".join(program.name for program in PROGRAMS)
        raise UsageError(f"{source}: this is no configuration of {names}, so there is nothing to convert.")
    converted = program.convert(document.tree, source)
    target = Path(arguments.file)
    try:
        with target.open("x", encoding="utf-8") as file:
            file.write(converted.to_yaml(source.name))
    except FileExistsError:
        raise UsageError(f"{target} already exists. Choose another name with --file.") from None
    except OSError as error:
        raise CuelightError(f"{target} cannot be written: {error.strerror}.") from error
    if arguments.json:
        print_json([asdict(row) for row in converted.rows])
        return 0
    table = Table(box=None, padding=(0, 2, 0, 0))
    for name in ("setting", "", "what it became, or why it was dropped"):
        table.add_column(name, overflow="fold")
    for row in converted.rows:
        table.add_row(row.key, Text(row.verdict, style=_COLORS[row.verdict]), Text(row.note))
    make_console().print(table)
    sys.stdout.flush()
    print_hint(f"Written: {target}. Next: cuelight plan {target}")
    return 0
