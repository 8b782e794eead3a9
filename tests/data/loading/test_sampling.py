from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from torch.utils.data import DistributedSampler

from cuelight.data.loading.sampling import NO_SAMPLE, EpochSampler, EvaluationSampler
from cuelight.errors import DataError


def _positions(sampler: EpochSampler | EvaluationSampler) -> list[int]:
    return [key.position for key in sampler]


def test_an_epoch_has_each_sample_once_and_each_epoch_another_order() -> None:
    sampler = EpochSampler(range(100), batch_size=10, seed=1)
    first = _positions(sampler)
    sampler.set_epoch(1)
    second = _positions(sampler)

    assert sorted(first) == sorted(second) == list(range(100))
    assert first != second != list(range(100))


def test_order_and_seeds_depend_on_seed_and_epoch_alone() -> None:
    one, other = (EpochSampler(range(50), batch_size=4, seed=7) for _ in range(2))
    one.set_epoch(3)
    list(one)
    other.set_epoch(3)

    assert list(one) == list(other)
    assert list(EpochSampler(range(50), seed=8)) != list(EpochSampler(range(50), seed=7))


def test_no_two_samples_share_a_seed_and_no_sample_keeps_its_seed() -> None:
    seeds: set[int] = set()
    for seed in range(3):
        sampler = EpochSampler(range(1000), seed=seed)
        for epoch in range(3):
            sampler.set_epoch(epoch)
            seeds |= {key.seed for key in sampler}

    assert len(seeds) == 9000


def test_from_the_first_batch_on_the_order_is_that_of_the_whole_epoch() -> None:
    sampler = EpochSampler(range(25), batch_size=4)
    whole = list(sampler)
    sampler.first_batch = 2

    assert list(sampler) == whole[8:]
    assert len(sampler) == 24  # the length is that of the epoch: trainers count their batches by it


@pytest.mark.parametrize(
    ("count", "batch_size", "expected"), [(33, 8, 32), (34, 8, 34), (32, 8, 32), (1, 8, 1), (9, 1, 9)]
)
def test_a_last_batch_of_one_is_left_out(count: int, batch_size: int, expected: int) -> None:
    sampler = EpochSampler(range(count), batch_size=batch_size)

    assert len(sampler) == len(list(sampler)) == expected


def test_training_ranks_get_as_many_samples_each_and_together_all() -> None:
    ranks = [_positions(EpochSampler(range(11), batch_size=2, num_replicas=3, rank=rank)) for rank in range(3)]

    assert [len(positions) for positions in ranks] == [4, 4, 4]
    assert set().union(*ranks) == set(range(11))


def test_weighted_samples_are_drawn_with_replacement() -> None:
    weights = np.array([1.0, 0.0, 2.0, 1.0] * 25)
    sampler, other = (EpochSampler(range(100), 10, seed=1, weights=weights) for _ in range(2))
    drawn: Counter[int] = Counter()
    for epoch in range(50):
        sampler.set_epoch(epoch)
        drawn += Counter(position % 4 for position in _positions(sampler))
    other.set_epoch(49)

    assert list(sampler) == list(other)
    assert len(sampler) == len(list(sampler)) == 100
    assert len(set(_positions(sampler))) < 80
    assert len({key.seed for key in sampler}) == 100
    assert [drawn[place] / 5000 for place in range(4)] == pytest.approx([0.25, 0, 0.5, 0.25], abs=0.03)


def test_weighted_samples_are_the_same_for_all_ranks_and_from_any_batch_on() -> None:
    weights = np.linspace(1, 9, 24)
    whole = list(EpochSampler(range(24), 4, seed=3, weights=weights))
    ranks = [EpochSampler(range(24), 4, 3, 2, rank, weights=weights) for rank in range(2)]

    assert [list(rank) for rank in ranks] == [whole[0::2], whole[1::2]]
    ranks[1].first_batch = 2
    assert list(ranks[1]) == whole[1::2][8:]


@pytest.mark.parametrize("count", [3, 9, 10, 11, 12, 13, 25])
@pytest.mark.parametrize("batch_size", [2, 4])
def test_evaluation_over_three_ranks_has_each_sample_once(count: int, batch_size: int) -> None:
    samplers = [EvaluationSampler(range(count), batch_size, num_replicas=3, rank=rank) for rank in range(3)]
    seen = Counter(position for sampler in samplers for position in _positions(sampler) if position != NO_SAMPLE)

    assert seen == Counter(range(count))
    assert all(len(sampler) == len(list(sampler)) for sampler in samplers)


@pytest.mark.parametrize(
    ("count", "batch_size"), [*((count, size) for count in (3, 7, 10, 13, 20, 25) for size in (2, 4)), (3, 1), (9, 1)]
)
def test_evaluation_ranks_get_as_many_batches_each_and_none_is_empty(count: int, batch_size: int) -> None:
    batches = []
    for rank in range(3):
        positions = _positions(EvaluationSampler(range(count), batch_size, num_replicas=3, rank=rank))
        batches.append([positions[start : start + batch_size] for start in range(0, len(positions), batch_size)])

    assert len({len(of_rank) for of_rank in batches}) == 1
    assert all(set(batch) != {NO_SAMPLE} for of_rank in batches for batch in of_rank)


@pytest.mark.parametrize(("count", "batch_size", "advice"), [(10, 1, "Raise batch_size"), (2, 8, "Add images")])
@pytest.mark.parametrize("rank", [0, 1, 2])
def test_evaluation_that_ranks_cannot_share_is_refused_on_each(count, batch_size, advice, rank) -> None:
    with pytest.raises(DataError, match=f"{count} images .* 3 devices.*{advice}"):
        EvaluationSampler(range(count), batch_size, num_replicas=3, rank=rank)


def test_evaluation_is_the_same_in_every_epoch() -> None:
    sampler = EvaluationSampler(range(10), batch_size=3)
    before = list(sampler)
    sampler.set_epoch(5)

    assert list(sampler) == before
    assert [key.position for key in before] == list(range(10))


def test_lightning_leaves_the_samplers_alone() -> None:
    assert isinstance(EpochSampler(range(3)), DistributedSampler)
    assert isinstance(EvaluationSampler(range(3)), DistributedSampler)
