"""The order of samples: it depends on seed, epoch and rank, never on the history of the process."""

from __future__ import annotations

from collections.abc import Iterator, Sized
from itertools import repeat
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import DistributedSampler

from cuelight.errors import DataError

NO_SAMPLE = -1


class SampleKey(NamedTuple):
    """A request for one sample.

    Args:
        position: Index in the dataset; ``NO_SAMPLE`` takes up a place in the batch, but nothing is read.
        seed: Seed of the random transforms of this sample; 64 bits.
        mixed: Whether the sample may be mixed with others.
    """

    position: int
    seed: int
    mixed: bool = False


class EpochSampler(DistributedSampler[SampleKey]):
    """The training order: a new permutation each epoch, the same number of samples on every rank.

    Lightning keeps a ``DistributedSampler`` as it is and sets its epoch.

    Args:
        dataset: Anything with a length.
        batch_size: Samples per batch and rank. A last batch of a single sample is left out, because BatchNorm cannot
            use it; unless it is the only batch, or ``batch_size`` is 1.
        seed: Seed of the order and of the random transforms.
        num_replicas: Number of ranks. If it does not divide the number of samples, the first of the order are repeated.
        rank: The rank of this process.
        shuffle: If false, every epoch has the order of the dataset.
        mixed_epochs: Number of epochs, from the first, in which samples may be mixed.
        weights: Chance of each sample, relative to the others: as many as the dataset has are drawn with replacement.
            Each is used once if left out.

    Attributes:
        first_batch: The batch at which the next pass starts; earlier samples get no keys.
    """

    def __init__(
        self,
        dataset: Sized,
        batch_size: int = 1,
        seed: int = 0,
        num_replicas: int = 1,
        rank: int = 0,
        shuffle: bool = True,
        mixed_epochs: float = 0,
        weights: NDArray[np.float64] | None = None,
    ) -> None:
        super().__init__(dataset, num_replicas=num_replicas, rank=rank, shuffle=shuffle, seed=seed)  # type: ignore[arg-type]
        self.batch_size = batch_size
        self.mixed_epochs = mixed_epochs
        self.weights = weights
        self.first_batch = 0

    def __len__(self) -> int:
        """Return the number of samples of this rank in a whole epoch."""
        count: int = self.num_samples
        last = count % self.batch_size
        return count - 1 if last == 1 and count > 1 < self.batch_size else count

    def __iter__(self) -> Iterator[SampleKey]:
        """Return the keys of the samples of this rank, from ``first_batch`` on."""
        order = np.arange(len(self.dataset))  # type: ignore[arg-type]
        generator = np.random.default_rng((self.seed, self.epoch))
        if self.weights is not None:
            order = generator.choice(order, len(order), p=self.weights / self.weights.sum())
        elif self.shuffle:
            generator.shuffle(order)
        places = np.arange(self.rank, self.total_size, self.num_replicas)[: len(self)]
        places = places[self.first_batch * self.batch_size :]
        indices = np.resize(order, self.total_size)[places]
        # A sample that is drawn twice is augmented in two ways.
        seeds = _sample_seeds(indices if self.weights is None else places, self.seed, self.epoch)
        return _keys(indices, seeds, self.epoch < self.mixed_epochs)


class EvaluationSampler(DistributedSampler[SampleKey]):
    """The order of the dataset, divided among the ranks so that each sample occurs exactly once.

    All ranks get the same number of batches, because ``DistributedDataParallel`` exchanges buffers at each. No sample
    is repeated for that: where a rank would have a batch less, its last full batch is split in two.

    Args:
        dataset: Anything with a length.
        batch_size: Samples per batch and rank.
        seed: Seed of random transforms, if any; the same in every epoch.
        num_replicas: Number of ranks.
        rank: The rank of this process.

    Raises:
        DataError: The ranks cannot get the same number of batches: there are fewer samples than ranks, or
            ``batch_size`` is 1, so that no batch can be split.
    """

    def __init__(
        self, dataset: Sized, batch_size: int = 1, seed: int = 0, num_replicas: int = 1, rank: int = 0
    ) -> None:
        _refuse_unequal_batches(len(dataset), batch_size, num_replicas)
        super().__init__(dataset, num_replicas=num_replicas, rank=rank, shuffle=False, seed=seed)  # type: ignore[arg-type]
        self.batch_size = batch_size

    def __len__(self) -> int:
        """Return the number of places in the batches of this rank."""
        return len(self._indices())

    def __iter__(self) -> Iterator[SampleKey]:
        indices = self._indices()
        return _keys(indices, _sample_seeds(indices, self.seed, 0))

    def _indices(self) -> NDArray[np.int64]:
        indices = np.arange(self.rank, len(self.dataset), self.num_replicas)  # type: ignore[arg-type]
        most = -(-len(self.dataset) // self.num_replicas)  # type: ignore[arg-type]
        batch_too_few = most > len(indices) and len(indices) % self.batch_size == 0
        if batch_too_few:
            indices = np.insert(indices, len(indices) - 1, NO_SAMPLE)
        return indices


def _refuse_unequal_batches(count: int, batch_size: int, num_replicas: int) -> None:
    if count < num_replicas:
        raise DataError(
            f"{count} images for validation or test are too few for {num_replicas} devices; each device needs at "
            "least one. Add images, or lower trainer.devices."
        )
    if batch_size == 1 and count % num_replicas != 0:
        raise DataError(
            f"{count} images for validation or test cannot be divided evenly among {num_replicas} devices with a "
            "batch_size of 1, but each device needs the same number of batches. Raise batch_size to 2 or more."
        )


def _keys(indices: NDArray[np.int64], seeds: NDArray[np.uint64], mixed: bool = False) -> Iterator[SampleKey]:
    return map(SampleKey, indices.tolist(), seeds.tolist(), repeat(mixed))


def _sample_seeds(numbers: NDArray[np.int64], seed: int, epoch: int) -> NDArray[np.uint64]:
    """Return independent seeds for an epoch: SplitMix64 (Steele, Lea and Flood, 2014) of the numbers."""
    base = np.random.SeedSequence((seed, epoch)).generate_state(1, np.uint64)
    state = base + (numbers.astype(np.uint64) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
    state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    seeds: NDArray[np.uint64] = state ^ (state >> np.uint64(31))
    return seeds
