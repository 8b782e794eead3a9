"""``cuelight callbacks``."""

from __future__ import annotations

import argparse
from dataclasses import asdict

from rich.table import Table
from rich.text import Text

from cuelight import registry
from cuelight.cli.display import print_json
from cuelight.registry import PartInfo
from cuelight.registry.describe import describe
from cuelight.registry.kinds import KINDS
from cuelight.registry.manifest import part_of
from cuelight.utils.console import make_console


def run(arguments: argparse.Namespace) -> int:
    """Print every registered callback, or those that are named, with its parameters."""
    for source in arguments.source:
        registry.load_source(source)
    described = [_describe(name) for name in arguments.names or registry.callbacks.names()]
    if arguments.json:
        print_json([asdict(info) for info in described])
        return 0
    console = make_console()
    for info in described:
        console.print(Text(info.name, style="bold"), Text(info.summary))
        table = Table(show_header=False, box=None, padding=(0, 2, 0, 2))
        for parameter in info.parameters:
            default = Text("required", style="yellow") if parameter.required else Text(str(parameter.default))
            table.add_row(parameter.name, default, Text(parameter.annotation, style="dim"), Text(parameter.help))
        console.print(table if info.parameters else Text("  no parameters", style="dim"))
        console.print()
    return 0


def _describe(name: str) -> PartInfo:
    """Describe a callback; one of Cuelight's own without pydantic, which takes longer than all else here."""
    [kind] = (kind for kind in KINDS if kind.name == "callback")
    if name in kind.builtins:
        return describe(name, part_of(kind.name, name), kind)
    return registry.callbacks.describe(name)
