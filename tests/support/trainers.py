"""Trainers of Lightning's for tests."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import lightning.pytorch as pl


def quiet_trainer(folder: Path | None = None, callbacks: Sequence[pl.Callback] = (), **options: Any) -> pl.Trainer:
    """Make a trainer for one epoch on the CPU that shows nothing and writes nothing by itself.

    Args:
        folder: Its ``default_root_dir``.
        callbacks: Its callbacks, in order.
        **options: What is to be otherwise, as for ``Trainer``.
    """
    usual = {"accelerator": "cpu", "max_epochs": 1, "enable_checkpointing": False, "num_sanity_val_steps": 0}
    return pl.Trainer(
        default_root_dir=folder,
        callbacks=list(callbacks),
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        **usual | options,
    )
