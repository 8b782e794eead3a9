"""``cuelight plan``."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import yaml
from lightning.pytorch.callbacks import ModelCheckpoint
from rich.markup import escape
from rich.table import Table

from cuelight.callbacks.added.progress import ProgressDisplay
from cuelight.callbacks.base.train_end_step import TrainEndStep
from cuelight.callbacks.ema.ema_callback import EMACallback
from cuelight.cli.display import begin, print_json, two_columns
from cuelight.runs.build import model_class
from cuelight.runs.plan import PlannedCallback, hook_order
from cuelight.runs.run import Run
from cuelight.utils.console import make_console
from cuelight.utils.redaction import redacted
from cuelight.weights.best import BestCheckpoint, Preference, best_checkpoint, main_metric


def run(arguments: argparse.Namespace) -> int:
    """Check a file and print what will run."""
    console = begin(arguments)
    planned = Run.from_yaml(arguments.config, arguments.overrides)
    planned.display = ProgressDisplay(console) if console else None
    console = make_console()
    if not arguments.json:
        console.print(_settings(planned))
    callbacks = planned.plan()
    order = hook_order([entry.callback for entry in callbacks], model_class(planned.config))
    if arguments.json:
        listed = [{"name": entry.name, "origin": entry.origin} for entry in callbacks]
        print_json({"config": redacted(planned.config.to_dict()), "callbacks": listed, "hooks": order})
        return 0
    console.print("\n[bold]Callbacks[/bold], in the order in which they run for every hook")
    console.print(_listing(planned, callbacks))
    console.print("\n[bold]Hook by hook[/bold]")
    hooks = two_columns()
    for hook, names in order.items():
        hooks.add_row(hook, " → ".join(names))
    console.print(hooks)
    console.print("\n[bold]After the training[/bold]")
    console.print(_steps(planned, callbacks))
    return 0


def _settings(planned: Run) -> Table:
    # The dump keeps references to environment variables instead of their values.
    written = planned.config.to_dict()
    trainer = written["trainer"]
    rows = [("run", written["name"]), *((key, _part(written[key])) for key in ("model", "data"))]
    rows.append(("optimizer", _part(trainer["optimizer"])))
    if scheduler := trainer["scheduler"]:
        rows.append(("scheduler", _part(scheduler, f" per {scheduler['interval']}")))
    limits = [f"{key} {trainer[key]}" for key in ("epochs", "max_steps", "max_time") if trainer[key] is not None]
    rows.append(("training", f"{', '.join(limits)}, batch_size {trainer['batch_size']}, seed {trainer['seed']}"))
    rows.append(("device", f"{trainer['accelerator']}, devices {trainer['devices']}, precision {trainer['precision']}"))
    rows.append(("trackers", ", ".join(_trackers(redacted(written["tracker"]))) or "none"))
    table = two_columns()
    for name, text in rows:
        table.add_row(name, escape(text))
    return table


def _trackers(section: Mapping[str, Any]) -> Iterator[str]:
    """Yield each tracker in use, with its location if the file has one."""
    for name, options in section.items():
        if options:
            told = options if isinstance(options, Mapping) else {}
            place = next((told[key] for key in ("tracking_uri", "mode", "dir") if told.get(key)), None)
            yield f"{name} ({place})" if place else name


def _listing(planned: Run, callbacks: Sequence[PlannedCallback]) -> Table:
    table = two_columns()
    for number, entry in enumerate(callbacks, start=1):
        averages = "; validation and checkpoints use its average, regardless of its position"
        note = averages if isinstance(entry.callback, EMACallback) else ""
        table.add_row(f"{number:2} {entry.name}", f"[dim]{entry.origin}{note}[/dim]")
    written = planned.config.to_dict()["trainer"]["callbacks"]
    for index, part in enumerate(planned.config.trainer.callbacks):
        if not part.active:
            origin = f"trainer.callbacks.{index}, switched off by active: false"
            table.add_row(f" - {escape(written[index]['name'])}", f"[dim]{origin}[/dim]")
    if model_class(planned.config).configure_callbacks is not pl.LightningModule.configure_callbacks:
        table.add_row(" + callbacks of the model", "[dim]known when it is built; right after those of the file[/dim]")
    return table


def _part(part: Mapping[str, Any], note: str = "") -> str:
    name = f"{part['name']}{note}"
    if not part["params"]:
        return name
    params = yaml.safe_dump(part["params"], default_flow_style=True, sort_keys=False, width=1000)
    return f"{name}  {params.strip()[1:-1]}"


def _steps(planned: Run, callbacks: Sequence[PlannedCallback]) -> Table:
    table = two_columns()
    for step in (entry.callback for entry in callbacks):
        if isinstance(step, TrainEndStep):
            table.add_row(step.step_name, escape(_checkpoint(planned, callbacks, step.preferred_checkpoint)))
    if not table.rows:
        table.add_row("nothing", "")
    return table


def _checkpoint(planned: Run, callbacks: Sequence[PlannedCallback], prefer: Preference) -> str:
    """Return which checkpoint a step will use, in words."""
    kept = [
        BestCheckpoint(Path(), callback.monitor, callback.mode, score=0.0)
        for callback in (entry.callback for entry in callbacks)
        if isinstance(callback, ModelCheckpoint) and callback.monitor and callback.save_top_k != 0
    ]
    best = best_checkpoint(kept, prefer, main_metric(model_class(planned.config)))
    if best is None:
        return "skipped: no best checkpoint is saved"
    return f"the checkpoint with the {'lowest' if best.by_loss else 'best'} {best.monitor}"
