"""Prints the CPU seconds of Cuelight itself between the command and the first batch of a training, as JSON.

`cuelight train` runs several times in this process, so that nothing is imported any more, and the time in calls of
others is taken away: of Lightning, and of timm for the network. Reading the data counts.
"""

import json
import sys
import tempfile
import time
from functools import wraps

import lightning.pytorch as pl
import timm

from cuelight import registry
from cuelight.cli.main import main as cuelight

OF_OTHERS = ((pl.Trainer, "__init__"), (pl.Trainer, "fit"), (timm, "create_model"))


class FirstBatchError(BaseException):
    """Ends the training; nothing catches it."""


@registry.callbacks.register
class UntilFirstBatch(pl.Callback):
    """Ends the training before its first batch."""

    def on_train_batch_start(self, *_):
        """End it."""
        raise FirstBatchError


def timed(owner, name, seconds):
    """Append how long each call takes."""
    work = getattr(owner, name)

    @wraps(work)
    def call(*arguments, **options):
        began = time.process_time()
        try:
            return work(*arguments, **options)
        finally:
            seconds.append(time.process_time() - began)

    setattr(owner, name, call)


def main():
    """Train until the first batch, once to import everything, then as often as the command line says."""
    example, rounds = sys.argv[1], int(sys.argv[2])
    of_others, own = [], []
    for owner, name in OF_OTHERS:
        timed(owner, name, of_others)
    with tempfile.TemporaryDirectory() as folder:
        callbacks = "trainer.callbacks=[{name: LearningRateMonitor}, {name: UntilFirstBatch}]"
        for _ in range(rounds + 1):
            of_others.clear()
            began = time.process_time()
            try:
                cuelight(["train", example, f"--output={folder}", "--quiet", callbacks])
            except FirstBatchError:
                own.append(time.process_time() - began - sum(of_others))
    print(json.dumps(own[1:]))


if __name__ == "__main__":
    main()
