"""The number of optimizer steps and epochs of a training, computed before it begins."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import lightning.pytorch as pl
from lightning.pytorch.callbacks import GradientAccumulationScheduler
from lightning.pytorch.utilities.model_helpers import is_overridden
from torch.utils.data import DataLoader
from torch.utils.data.distributed import DistributedSampler

from cuelight.utils.trainer_callbacks import callbacks_of


@dataclass(frozen=True)
class TrainingLength:
    """The length of a whole training, also if it is resumed.

    Args:
        steps: Optimizer steps.
        epochs: Epochs that are started; ``max_steps`` may cut the last one short.
    """

    steps: int
    epochs: int


def training_length(module: pl.LightningModule, max_steps: int | None = None) -> TrainingLength | None:
    """Count the optimizer steps and epochs of the training that a module is attached to.

    ``Trainer.estimated_stepping_batches`` cannot be used: it ignores ``GradientAccumulationScheduler``, and by loading
    the training data early it makes a resume forget the position of a stateful data loader.

    ``max_steps`` is a limit that the trainer does not know of. The length is ``None`` if the training has no known end.
    """
    trainer = module.trainer
    max_epochs = math.inf if trainer.max_epochs in (None, -1) else trainer.max_epochs
    limits = [limit for limit in (trainer.max_steps, max_steps) if limit is not None and limit != -1]
    last_step = min(limits, default=math.inf)
    batches = training_batches(module)
    if math.isinf(last_step) and (math.isinf(max_epochs) or math.isinf(batches)):
        return None
    if batches == 0:
        return TrainingLength(0, 0)
    factors = _accumulation(trainer)
    steps, epochs = 0.0, 0
    while steps < last_step and epochs < max_epochs:
        steps += batches if math.isinf(batches) else math.ceil(batches / _factor(factors, epochs))
        epochs += 1
    return TrainingLength(int(min(steps, last_step)), epochs)


def training_batches(module: pl.LightningModule) -> float:
    """Count the training batches of one epoch on this process, under ``limit_train_batches``.

    The number is infinite if the data has no length.
    """
    trainer = module.trainer
    datamodule = getattr(trainer, "datamodule", None)
    loader = datamodule.train_dataloader() if datamodule and is_overridden("train_dataloader", datamodule) else None
    own_share = trainer.world_size == 1 or isinstance(getattr(loader, "sampler", None), DistributedSampler)
    if not isinstance(loader, DataLoader) or not own_share:
        # Other loaders, several, or one that Lightning still divides among the processes: it knows the number.
        trainer.fit_loop.setup_data()
        return float(trainer.num_training_batches)
    try:
        length = len(loader)
    except TypeError:  # an IterableDataset without a length
        return math.inf
    limit = trainer.limit_train_batches
    return min(length, limit) if isinstance(limit, int) else int(length * limit)


def _accumulation(trainer: pl.Trainer) -> Mapping[int, int]:
    for callback in callbacks_of(trainer):
        if isinstance(callback, GradientAccumulationScheduler):
            return callback.scheduling
    return {0: trainer.accumulate_grad_batches}


def _factor(accumulate: Mapping[int, int], epoch: int) -> int:
    begun = [first for first in accumulate if first <= epoch]
    return accumulate[max(begun)] if begun else 1
