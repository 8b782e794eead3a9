"""Tells when the first training step is done; passed to `cuelight train` with --source."""

import os

import lightning.pytorch as pl

from cuelight import registry


@registry.callbacks.register
class FirstStep(pl.Callback):
    """Prints a line after the first training step and ends the process."""

    def on_train_batch_end(self, *_):
        """Print the line."""
        print("first step", flush=True)
        os._exit(0)
