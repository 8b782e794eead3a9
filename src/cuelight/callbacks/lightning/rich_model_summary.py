"""A table of the layers of the model."""

from __future__ import annotations

import lightning.pytorch as pl
from lightning.pytorch import callbacks
from lightning.pytorch.utilities.model_summary.model_summary import get_human_readable_count, summarize
from rich.table import Table

from cuelight.explain.layers import modules_without_metrics
from cuelight.utils.console import make_console


class RichModelSummary(callbacks.RichModelSummary):
    """Shows the layers of the model with their numbers of parameters when training starts.

    Metrics are left out. The table is printed to standard error; not if the trainer has no progress bar, as with
    ``--quiet``.

    Args:
        max_depth: The depth to which nested layers are shown; 0 shows nothing, -1 everything.
        header_style: Style of the table's header, in the syntax of rich.
    """

    def __init__(self, max_depth: int = 1, header_style: str = "bold magenta") -> None:
        super().__init__(max_depth=max_depth, header_style=header_style)
        self.max_depth = max_depth
        self.header_style = header_style

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Print the table."""
        if not self.max_depth or trainer.progress_bar_callback is None:
            return
        summary = summarize(pl_module, self.max_depth)
        if not trainer.is_global_zero:
            return
        table = Table("layer", "type", header_style=self.header_style)
        for heading in ("parameters", "FLOPs", "input", "output"):
            table.add_column(heading, justify="right")
        shown = {name for name, _ in modules_without_metrics(pl_module)}
        flops = [sum(counts.values()) for counts in summary.flop_counts.values()]
        rows = zip(
            summary.layer_names, summary.layer_types, summary.param_nums, flops, summary.in_sizes, summary.out_sizes,
            strict=True,
        )  # fmt: skip
        for name, kind, parameters, operations, *sizes in rows:
            if name in shown:
                table.add_row(name, kind, *map(_short, (parameters, operations)), *map(str, sizes))
        console = make_console(stderr=True)
        console.print(table)
        console.print(
            f"{_short(summary.total_parameters)} parameters ({_short(summary.trainable_parameters)} trainable, "
            f"{summary.model_size:.3g} MB), {_short(summary.total_flops)} FLOPs for the example input"
        )


def _short(count: int) -> str:
    return get_human_readable_count(count).strip()
