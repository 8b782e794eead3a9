"""The two kinds of loader that every data module needs, fitted to the trainer that it is attached to."""

from __future__ import annotations

from functools import partial
from typing import Any, Protocol

import lightning.pytorch as pl

from cuelight.data.loading.prefetching import CheckedLoader, ResumableLoader, SkippedFiles
from cuelight.data.loading.samples import Collate, Images, SeededDataset
from cuelight.data.loading.sampling import EpochSampler, EvaluationSampler
from cuelight.data.targets.labels import LABELS
from cuelight.data.targets.target_kind import Augmentation, TargetKind
from cuelight.images.preprocessing import Preprocessing


class _Progress(Protocol):
    current: Any


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
    skipped: SkippedFiles | None = None,
) -> ResumableLoader:
    """Load for training: shuffled, augmented, resumable.

    Args:
        images: The images.
        preprocessing: What is done to each.
        batch_size: Images per batch and rank.
        num_workers: Processes that load; 0 loads in the main process.
        seed: Seed of the order and of augmentation.
        target_kind: How targets follow their images.
        trainer: Tells rank, number of ranks, and the epoch to begin with.
        augmentation: Random transforms.
        augment_first: Whether they see the image at its own size.
        skipped: Takes what cannot be read; an error is raised if left out.

    Returns:
        The loader.
    """
    world_size, rank = _ranks(trainer)
    dataset = SeededDataset(images, preprocessing, augmentation, augment_first, skipped is not None, target_kind)
    sampler = EpochSampler(dataset, batch_size, seed, world_size, rank)
    used_batches = None
    if trainer is not None:
        # Lightning calls iter() before it sets the epoch of a training that is resumed: known here, the pass that
        # is started then need not be started again.
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
    """Load for validation and test: each image once, in order, as it is.

    Args:
        images: The images.
        preprocessing: What is done to each.
        batch_size: Images per batch and rank.
        num_workers: Processes that load; 0 loads in the main process.
        target_kind: How targets follow their images.
        trainer: Tells rank and number of ranks.
        skipped: Takes what cannot be read, which is left out of its batch; an error is raised if left out.

    Returns:
        The loader.
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


def _processed(progress: _Progress) -> int:
    return int(progress.current.processed)


def _ranks(trainer: pl.Trainer | None) -> tuple[int, int]:
    return (1, 0) if trainer is None else (trainer.world_size, trainer.global_rank)


def _on_cuda(trainer: pl.Trainer | None) -> bool:
    return trainer is not None and trainer.strategy.root_device.type == "cuda"
