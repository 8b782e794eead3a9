"""How a command shows what it does: log lines, progress and the table at the end."""

from __future__ import annotations

import logging
import os
import warnings
from pathlib import Path

from rich.console import Console
from rich.logging import RichHandler
from rich.table import Table

from cuelight.callbacks.progress import ProgressDisplay
from cuelight.run import Result

# Advice of Lightning's that a user of a YAML file cannot follow, or that Cuelight has seen to.
_NOISE = (
    r".*does not have many workers.*",
    r".*is smaller than the logging interval.*",
    r".*Checkpoint directory .* exists and is not empty.*",
    r".*Experiment logs directory .* exists and is not empty.*",
    r".*isn't compatible with NumPy.*",
)


def set_up_display(quiet: bool) -> ProgressDisplay | None:
    """Send log lines to standard error, and choose how progress is shown.

    Args:
        quiet: Show warnings and errors only.

    Returns:
        The callback that shows the progress; ``None`` if quiet.
    """
    console = Console(stderr=True, soft_wrap=True)
    handler: logging.Handler = logging.StreamHandler()
    if console.is_terminal:
        handler = RichHandler(console=console, show_time=False, show_path=False, markup=False)
    logging.basicConfig(level=logging.WARNING, handlers=[handler], format="%(message)s", force=True)
    logging.getLogger("cuelight").setLevel(logging.WARNING if quiet else logging.INFO)
    for name in ("lightning", "lightning.pytorch", "lightning.fabric"):
        library = logging.getLogger(name)
        library.handlers.clear()
        library.propagate = True
        library.setLevel(logging.WARNING)
    logging.captureWarnings(capture=True)
    for noise in _NOISE:
        warnings.filterwarnings("ignore", message=noise)
    return None if quiet else ProgressDisplay(console)


def print_summary(result: Result) -> None:
    """Print what a run came to: best checkpoint, results, files, next commands.

    Args:
        result: What ``Run.train`` or ``Run.test`` returned.
    """
    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    if result.best:
        table.add_row("best checkpoint", f"{_short(result.best.path)}  ({result.best.monitor} {result.best.score:.4f})")
    if result.checkpoint and (result.best is None or result.checkpoint != result.best.path):
        table.add_row("measured", _short(result.checkpoint))
    for name, value in result.metrics.items():
        table.add_row(name, f"{value:.4f}")
    if result.directory:
        run = _short(result.directory)
        table.add_row("files", run)
        table.add_row("curves", f"tensorboard --logdir {run}")
        table.add_row("test again", f"cuelight test {run}")
        table.add_row("train on", f"cuelight train --resume {run} trainer.epochs=N")
    Console().print(table, soft_wrap=True)


def _short(path: Path) -> str:
    relative = os.path.relpath(path)
    return relative if not relative.startswith("..") else str(path)
