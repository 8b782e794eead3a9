"""Trainers of Lightning's for tests."""

from typing import Any

import lightning.pytorch as pl


def quiet_trainer(**options: Any) -> pl.Trainer:
    """Make a trainer for one epoch on the CPU that shows and writes nothing.

    Args:
        **options: What is to be otherwise, as for ``Trainer``.
    """
    usual = {"accelerator": "cpu", "logger": False, "enable_checkpointing": False, "max_epochs": 1}
    return pl.Trainer(enable_progress_bar=False, enable_model_summary=False, num_sanity_val_steps=0, **usual | options)
