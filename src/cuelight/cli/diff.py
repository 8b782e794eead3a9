"""``cuelight diff``."""

from __future__ import annotations

import argparse
import json
import re
from pathlib import Path
from typing import Any

from rich.markup import escape
from rich.table import Table

from cuelight.cli.display import print_json
from cuelight.runs.compare import Comparison, Difference, compare_runs
from cuelight.utils.console import make_console

_HASH = re.compile(r"\b[0-9a-f]{40,64}\b")
_SHOWN = 12


def run(arguments: argparse.Namespace) -> int:
    """Print what differs between two runs. The exit code is 0 also if they differ."""
    compared = compare_runs(Path(arguments.first), Path(arguments.second))
    if arguments.json:
        print_json(compared.to_dict())
    else:
        _print(compared)
    return 0


def _print(compared: Comparison) -> None:
    console = make_console()  # a line for each difference, for grep and the like
    console.print(f"A  {escape(str(compared.first))}\nB  {escape(str(compared.second))}", soft_wrap=True)
    for name, differences in compared.sections.items():
        if differences:
            console.print()
            console.print(_table(name, differences))
    lacking = [reason.rpartition(" has no ")[2] for reason in compared.missing]
    same = [name for name, entries in compared.sections.items() if not entries and name not in lacking]
    notes = [f"The same: {', '.join(same)}."] if same else []
    notes += [f"Not compared: {reason}." for reason in compared.missing]
    if notes:
        console.print("\n" + escape("\n".join(notes)), soft_wrap=True)


def _table(name: str, differences: list[Difference]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="bold")
    with_change = name == "results"
    for heading in (name, "A", "B", *(["B - A"] if with_change else [])):
        table.add_column(heading, overflow="fold", justify="right" if heading == "B - A" else "left")
    for entry in differences:
        change = entry.change if with_change else None
        cells = [entry.key, _shown(entry.first), _shown(entry.second)]
        cells += [f"{change:+.4g}" if change is not None else ""] if with_change else []
        table.add_row(*map(escape, cells))
    return table


def _shown(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    text = value if isinstance(value, str) else json.dumps(value)
    return _HASH.sub(lambda match: match[0][:_SHOWN], text)
