"""``cuelight plan``."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from typing import Any

import lightning.pytorch as pl
import yaml
from rich.table import Table

from cuelight.building import model_class
from cuelight.cli.display import output_console, set_up_display, two_columns
from cuelight.plan import PlannedCallback, hook_order, main_metric
from cuelight.registry import load_source
from cuelight.run import Run


def run(arguments: argparse.Namespace) -> int:
    """Check a file and print what will run.

    Args:
        arguments: The parsed command line.

    Returns:
        The exit code.
    """
    display = set_up_display(quiet=False)
    for source in arguments.source:
        load_source(source)
    planned = Run.from_yaml(arguments.config, arguments.overrides)
    planned.display = display
    console = output_console()
    console.print(_settings(planned))
    callbacks = planned.plan()
    console.print("\n[bold]Callbacks[/bold], in the order in which they run for every hook")
    console.print(_listing(planned, callbacks))
    console.print("\n[bold]Hook by hook[/bold]")
    console.print(_hooks(hook_order([entry.callback for entry in callbacks], model_class(planned.config))))
    best = main_metric(planned.config)
    chosen = f"the best {best[0]}" if best else "the lowest val/loss"
    console.print(
        f"\n[bold]After the training[/bold]\n  test the checkpoint with {chosen}, if the data has a test split"
    )
    return 0


def _settings(planned: Run) -> Table:
    trainer = planned.config.trainer
    table = two_columns()
    table.add_row("run", planned.config.name)
    table.add_row("model", _part(planned.config.model.name, planned.config.model.params))
    table.add_row("data", _part(planned.config.data.name, planned.config.data.params))
    table.add_row("optimizer", _part(trainer.optimizer.name, trainer.optimizer.params))
    if trainer.scheduler:
        table.add_row(
            "scheduler", _part(f"{trainer.scheduler.name} per {trainer.scheduler.interval}", trainer.scheduler.params)
        )
    limits = {"epochs": trainer.epochs, "max_steps": trainer.max_steps, "max_time": trainer.max_time}
    length = ", ".join(f"{name} {value}" for name, value in limits.items() if value is not None)
    table.add_row("training", f"{length}, batch_size {trainer.batch_size}, seed {trainer.seed}")
    table.add_row("device", f"{trainer.accelerator}, devices {trainer.devices}, precision {trainer.precision}")
    return table


def _listing(planned: Run, callbacks: Sequence[PlannedCallback]) -> Table:
    table = two_columns()
    for number, entry in enumerate(callbacks, start=1):
        table.add_row(f"{number:2} {entry.name}", f"[dim]{entry.origin}[/dim]")
    for index, part in enumerate(planned.config.trainer.callbacks):
        if not part.active:
            table.add_row(f" - {part.name}", f"[dim]trainer.callbacks.{index}, switched off by active: false[/dim]")
    if model_class(planned.config).configure_callbacks is not pl.LightningModule.configure_callbacks:
        table.add_row(
            " + what the model brings", "[dim]known when it is made; right after those of the file[/dim]"
        )
    return table


def _hooks(order: Mapping[str, list[str]]) -> Table:
    table = two_columns()
    for hook, names in order.items():
        table.add_row(hook, " → ".join(names))
    return table


def _part(name: str, params: Mapping[str, Any]) -> str:
    if not params:
        return name
    written = yaml.safe_dump(dict(params), default_flow_style=True, sort_keys=False, width=1000)
    return f"{name}  {written.strip()[1:-1]}"
