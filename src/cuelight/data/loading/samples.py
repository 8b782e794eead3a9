"""Samples from keys and batches from samples: the part that runs in the worker processes."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset, default_collate, get_worker_info

from cuelight.data.loading.sampling import NO_SAMPLE, SampleKey
from cuelight.data.reading import Unreadable, UnreadableImageError
from cuelight.data.targets.labels import LABELS
from cuelight.data.targets.target_kind import Augmentation, Mixing, TargetKind
from cuelight.images import tensors
from cuelight.images.preprocessing import Preprocessing

# More unreadable files in a row than this mean a broken dataset, not a few broken files.
_ATTEMPTS = 100


class Images(Protocol):
    """Images with their targets, by position."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> tuple[Image.Image | Tensor, Any]:
        """Return an image, PIL or uint8 ``(C, H, W)``, and its target of the same size.

        An unreadable file raises ``UnreadableImageError``.
        """


class Sample(NamedTuple):
    """One image at its final size, not yet normalized: uint8, or float from 0 to 1, ``(C, H, W)``."""

    image: Tensor
    target: Any


class Batch(NamedTuple):
    """The readable images of a batch with their targets, and the unreadable files.

    Args:
        images: float32 ``(N, C, H, W)``; ``None`` if none could be read.
        targets: As the kind of target collates them.
        unreadable: The files that could not be read.
    """

    images: Tensor | None
    targets: Any
    unreadable: tuple[Unreadable, ...]


class SeededDataset(Dataset[Sample]):
    """Makes samples whose random transforms depend only on their key.

    So augmentation is the same for any number of workers, and after a resume.

    Args:
        images: The images.
        preprocessing: Resizes images to their final size.
        augmentation: Random transforms of images and targets in training.
        augment_first: Whether images are augmented at their original size, before they are resized.
        replace_unreadable: Whether the next readable image replaces an unreadable one, so that batches keep their size.
        target_kind: How targets are transformed with their images.
        mixing: Joins images and targets, before or after they are augmented.
        weights: Chance of each image, relative to the others, to be drawn for that; all are equal if left out.
    """

    def __init__(
        self,
        images: Images,
        preprocessing: Preprocessing,
        augmentation: Augmentation | None = None,
        augment_first: bool = False,
        replace_unreadable: bool = False,
        target_kind: TargetKind = LABELS,
        mixing: Mixing | None = None,
        weights: NDArray[np.float64] | None = None,
    ) -> None:
        self.images = images
        self.preprocessing = preprocessing
        self.target_kind = target_kind
        self.augmentation = augmentation
        self.augment_first = augment_first
        self.mixing = mixing
        self._cumulated = None if weights is None else np.cumsum(weights / weights.sum())
        self._attempts = min(len(images), _ATTEMPTS) if replace_unreadable else 1

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, key: SampleKey | int) -> Sample:
        """Make one sample; a plain index is its own seed."""
        with _random_state_kept():
            return self._sample(key if isinstance(key, SampleKey) else SampleKey(key, key))

    def __getitems__(self, keys: Sequence[SampleKey | int]) -> list[Sample | Unreadable]:
        """Make the samples of a batch; unreadable files are among them."""
        samples: list[Sample | Unreadable] = []
        with _random_state_kept():
            for each in keys:
                key = each if isinstance(each, SampleKey) else SampleKey(each, each)
                if key.position != NO_SAMPLE:
                    samples.extend(self._sample_or_unreadable(key))
        return samples

    def _sample(self, key: SampleKey) -> Sample:
        image, target = self.images[key.position]
        mixing = self.mixing if key.mixed else None
        if mixing is not None or self.augmentation is not None:
            _seed_transforms(key.seed)
        if mixing is None:
            return self._augment(image, target)
        if mixing.joins_augmented:
            return Sample(*mixing(self._augment(image, target), lambda: self._augment(*self._draw())))
        return self._augment(*mixing(self._fit(image, target), lambda: self._fit(*self._draw())))

    def _augment(self, image: Image.Image | Tensor, target: Any) -> Sample:
        if self.augmentation is None:
            return self._fit(image, target)
        if self.augment_first:
            image = tensors.to_tensor(self.preprocessing, image)
            return self._fit(*self.target_kind.augment(self.augmentation, image, target))
        return self._fit(*self.target_kind.augment(self.augmentation, *self._fit(image, target)))

    def _fit(self, image: Image.Image | Tensor, target: Any) -> Sample:
        return Sample(tensors.fit(self.preprocessing, image), self.target_kind.fit(target, self.preprocessing))

    def _draw(self) -> tuple[Image.Image | Tensor, Any]:
        """Return a random image and its target."""
        if self._cumulated is None:
            first = int(torch.randint(len(self), ()))
        else:
            first = int(np.searchsorted(self._cumulated[:-1], float(torch.rand((), dtype=torch.float64)), "right"))
        for offset in range(self._attempts - 1):
            with suppress(UnreadableImageError):
                return self.images[(first + offset) % len(self)]
        return self.images[(first + self._attempts - 1) % len(self)]

    def _sample_or_unreadable(self, key: SampleKey) -> Iterator[Sample | Unreadable]:
        for offset in range(self._attempts):
            sample = self._try_sample(key._replace(position=(key.position + offset) % len(self)))
            yield sample
            if isinstance(sample, Sample):
                return

    def _try_sample(self, key: SampleKey) -> Sample | Unreadable:
        try:
            return self._sample(key)
        except UnreadableImageError as error:
            return error.unreadable


class Collate:
    """Makes a normalized batch of samples."""

    def __init__(self, preprocessing: Preprocessing, target_kind: TargetKind = LABELS) -> None:
        self.preprocessing = preprocessing
        self.target_kind = target_kind

    def __call__(self, samples: Sequence[Sample | Unreadable]) -> Batch:
        """Make a batch of samples of one size; unreadable files are listed in it."""
        readable = [sample for sample in samples if isinstance(sample, Sample)]
        unreadable = tuple(sample for sample in samples if isinstance(sample, Unreadable))
        targets = self.target_kind.collate([sample.target for sample in readable])
        if not readable:
            return Batch(None, targets, unreadable)
        return Batch(self._images(readable), targets, unreadable)

    def _images(self, samples: Sequence[Sample]) -> Tensor:
        if get_worker_info() is None:
            return tensors.normalize(self.preprocessing, torch.stack([sample.image for sample in samples]))
        # default_collate writes into memory shared with the main process; single images stay in the CPU cache.
        images: Tensor = default_collate([tensors.normalize(self.preprocessing, sample.image) for sample in samples])
        return images


def _seed_transforms(seed: int) -> None:
    """Seed the generators of transforms; ``torch.manual_seed`` seeds every device and takes 100 times as long."""
    torch.default_generator.manual_seed(seed)
    np.random.seed(seed & 0xFFFFFFFF)  # noqa: NPY002 - transforms draw from the global generator
    random.seed(seed)


@contextmanager
def _random_state_kept() -> Iterator[None]:
    states = torch.get_rng_state(), np.random.get_state(), random.getstate()  # noqa: NPY002
    try:
        yield
    finally:
        torch.set_rng_state(states[0])
        np.random.set_state(states[1])  # noqa: NPY002
        random.setstate(states[2])
