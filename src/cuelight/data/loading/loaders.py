"""Loaders for training and evaluation, fitted to the trainer of the data module."""

from __future__ import annotations

import logging
import math
from functools import partial
from typing import Any

import lightning.pytorch as pl
import numpy as np
from numpy.typing import NDArray

from cuelight.data.loading.prefetching import CheckedLoader, ResumableLoader, SkippedFiles
from cuelight.data.loading.samples import Collate, Images, SeededDataset
from cuelight.data.loading.sampling import EpochSampler, EvaluationSampler
from cuelight.data.targets.labels import LABELS
from cuelight.data.targets.target_kind import Augmentation, Mixing, TargetKind
from cuelight.images.preprocessing import Preprocessing

logger = logging.getLogger(__name__)


def training_loader(
    images: Images,
    preprocessing: Preprocessing,
    *,
    batch_size: int,
    num_workers: int,
    seed: int,
    target_kind: TargetKind = LABELS,
    trainer: pl.Trainer | None = None,
    augmentation: Augmentation | None = None,
    augment_first: bool = False,
    mixing: Mixing | None = None,
    weights: NDArray[np.float64] | None = None,
    skipped: SkippedFiles | None = None,
) -> ResumableLoader:
    """Return a loader for training: shuffled, augmented, resumable.

    ``batch_size`` is per rank. ``trainer`` provides the rank, the number of ranks and the first epoch. With
    ``augment_first``, images are augmented at their original size. The length of the training says when ``mixing``
    ends. With ``weights``, images are drawn with replacement, by the chance of each. Unreadable files are collected in
    ``skipped``; without it they raise an error.
    """
    world_size, rank = _ranks(trainer)
    dataset = SeededDataset(
        images, preprocessing, augmentation, augment_first, skipped is not None, target_kind, mixing, weights
    )
    mixed_epochs = _mixed_epochs(mixing, trainer)
    sampler = EpochSampler(dataset, batch_size, seed, world_size, rank, mixed_epochs=mixed_epochs, weights=weights)
    used_batches = None
    if trainer is not None:
        # On a resume, Lightning calls iter() before it sets the epoch; set here, that pass is not started again.
        sampler.set_epoch(_processed(trainer.fit_loop.epoch_progress))
        used_batches = partial(_processed, trainer.fit_loop.epoch_loop.batch_progress)

    return ResumableLoader(
        dataset,
        batch_size=batch_size,
        sampler=sampler,
        num_workers=num_workers,
        persistent_workers=num_workers > 0,
        collate_fn=Collate(preprocessing, target_kind),
        pin_memory=_on_cuda(trainer),
        skipped=skipped,
        used_batches=used_batches,
    )


def evaluation_loader(
    images: Images,
    preprocessing: Preprocessing,
    *,
    batch_size: int,
    num_workers: int,
    target_kind: TargetKind = LABELS,
    trainer: pl.Trainer | None = None,
    skipped: SkippedFiles | None = None,
) -> CheckedLoader:
    """Return a loader of each image once, in order, without augmentation.

    An unreadable file is left out of its batch and collected in ``skipped``; without it, it raises an error.
    """
    world_size, rank = _ranks(trainer)
    dataset = SeededDataset(images, preprocessing, target_kind=target_kind)
    return CheckedLoader(
        dataset,
        batch_size=batch_size,
        sampler=EvaluationSampler(dataset, batch_size, num_replicas=world_size, rank=rank),
        num_workers=num_workers,
        persistent_workers=num_workers > 0,
        collate_fn=Collate(preprocessing, target_kind),
        pin_memory=_on_cuda(trainer),
        skipped=skipped,
    )


def _mixed_epochs(mixing: Mixing | None, trainer: pl.Trainer | None) -> float:
    if mixing is None:
        return 0
    epochs = trainer.max_epochs if trainer is not None else None
    if epochs is None or epochs < 0:  # the end is not known
        return math.inf
    if epochs <= mixing.plain_epochs:
        logger.warning(
            "no training images are mixed: they are mixed until %d epochs before the end, but there are only %d.",
            mixing.plain_epochs,
            epochs,
        )
    return epochs - mixing.plain_epochs


def _processed(progress: Any) -> int:
    return int(progress.current.processed)


def _ranks(trainer: pl.Trainer | None) -> tuple[int, int]:
    return (1, 0) if trainer is None else (trainer.world_size, trainer.global_rank)


def _on_cuda(trainer: pl.Trainer | None) -> bool:
    return trainer is not None and trainer.strategy.root_device.type == "cuda"
