"""Callbacks that fail when the training is over, given by ``--source``."""

import lightning.pytorch as pl

from cuelight import registry
from cuelight.callbacks.base.train_end_step import TrainEndStep
from cuelight.errors import ExportError


@registry.callbacks.register
class FailingStep(TrainEndStep):
    """Fails."""

    def work(self, training, report, console):
        raise ExportError("no good.")

    def is_done(self, training, outcome):
        return False


@registry.callbacks.register
class FailingRank(pl.Callback):
    """Fails in the second process when the training is over."""

    def on_train_end(self, trainer, pl_module):
        if trainer.global_rank == 1:
            raise RuntimeError("the second process has had enough")
