"""``cuelight layers``."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from rich.table import Table
from rich.text import Text

from cuelight.cli.display import begin, print_json
from cuelight.cli.images import CHECKPOINT_SUFFIX
from cuelight.explain import Layer
from cuelight.runs.run import Run
from cuelight.utils.console import make_console


def run(arguments: argparse.Namespace) -> int:
    """Print every layer of a model, with the shape of its output for one image."""
    begin(arguments)
    path = Path(arguments.config)
    trained = path.is_dir() or path.suffix == CHECKPOINT_SUFFIX
    opened = (Run.load if trained else Run.from_yaml)(path, arguments.overrides)
    layers = opened.layers(path if path.suffix == CHECKPOINT_SUFFIX else None)
    if arguments.json:
        print_json([asdict(layer) for layer in layers])
        return 0
    console = make_console()
    console.print(_table(layers))
    if auto := next((layer for layer in layers if layer.is_auto), None):
        console.print(Text(f"target_layer: auto is {auto.name} ({auto.index})", style="bold"))
    return 0


def _table(layers: Sequence[Layer]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0))
    table.add_column("index", justify="right")
    for heading in ("name", "type"):
        table.add_column(heading, overflow="fold")
    table.add_column("output", no_wrap=True)
    for layer in layers:
        shape = str(layer.shape) if layer.shape is not None else "-"
        style = "bold" if layer.is_auto else None if layer.shape is not None else "dim"
        row = (str(layer.index), layer.name or "(the model)", layer.type, shape)
        table.add_row(*(Text(cell) for cell in row), style=style)
    return table
