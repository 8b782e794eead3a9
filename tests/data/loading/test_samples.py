from __future__ import annotations

import random
import time

import numpy as np
import pytest
import torch
from torch import Tensor

from cuelight.data.loading.samples import Collate, Sample, SeededDataset
from cuelight.data.loading.sampling import NO_SAMPLE, SampleKey
from cuelight.data.reading import Unreadable, UnreadableImageError
from cuelight.images.preprocessing import Preprocessing

PREPROCESSING = Preprocessing(size=(4, 4), mean=(0.5,), std=(0.5,), color="GRAY")


class Squares:
    """Grey squares of 8 pixels; the position is the label; some cannot be read."""

    def __init__(self, count: int, unreadable: tuple[int, ...] = ()) -> None:
        self.count = count
        self.unreadable = unreadable

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        if index in self.unreadable:
            raise UnreadableImageError(f"{index}.png", "torn")
        return torch.full((1, 8, 8), index, dtype=torch.uint8), index


def draw_from_every_generator(image: Tensor) -> Tensor:
    noise = torch.rand(()) + np.random.rand() + random.random()  # noqa: NPY002
    return image.float() / 255 + noise


def _labels(samples: list[Sample | Unreadable]) -> list[int]:
    return [sample.target for sample in samples if isinstance(sample, Sample)]


def test_random_transforms_depend_on_the_key_alone() -> None:
    dataset = SeededDataset(Squares(10), PREPROCESSING, draw_from_every_generator)
    alone = dataset[SampleKey(3, 77)].image
    among_others = dataset.__getitems__([SampleKey(1, 5), SampleKey(3, 77)])[1].image

    assert torch.equal(alone, among_others)
    assert not torch.equal(alone, dataset[SampleKey(3, 78)].image)


@pytest.mark.parametrize("source", [torch.rand, np.random.rand, random.random])
def test_each_global_generator_is_seeded_and_then_left_as_it_was(source) -> None:
    def augment(image: Tensor) -> Tensor:
        return image.float() / 255 + float(source(1) if source is torch.rand else source())

    dataset = SeededDataset(Squares(10), PREPROCESSING, augment)
    torch.manual_seed(1)
    np.random.seed(1)  # noqa: NPY002
    random.seed(1)
    before = torch.get_rng_state(), np.random.get_state()[1].tolist(), random.getstate()  # noqa: NPY002

    first = dataset[SampleKey(3, 77)].image
    torch.rand(3)
    dataset.__getitems__([SampleKey(0, 1)])
    torch.manual_seed(1)

    assert torch.equal(first, dataset[SampleKey(3, 77)].image)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert np.random.get_state()[1].tolist() == before[1]  # noqa: NPY002
    assert random.getstate() == before[2]


def test_augmentation_sees_the_final_size_or_the_whole_image() -> None:
    sizes: list[tuple[int, ...]] = []

    def note_size(image: Tensor) -> Tensor:
        sizes.append(tuple(image.shape))
        return image

    for augment_first in (False, True):
        sample = SeededDataset(Squares(1), PREPROCESSING, note_size, augment_first)[0]
        assert sample.image.shape == (1, 4, 4)
    assert sizes == [(1, 4, 4), (1, 8, 8)]


def test_a_place_without_sample_gives_nothing() -> None:
    samples = SeededDataset(Squares(5), PREPROCESSING).__getitems__([SampleKey(2, 0), SampleKey(NO_SAMPLE, 0)])

    assert _labels(samples) == [2]


def test_what_cannot_be_read_is_left_out_or_replaced_by_the_next() -> None:
    keys = [SampleKey(position, 0) for position in (0, 2, 4)]
    squares = Squares(5, unreadable=(2, 4))

    left_out = SeededDataset(squares, PREPROCESSING).__getitems__(keys)
    replaced = SeededDataset(squares, PREPROCESSING, replace_unreadable=True).__getitems__(keys)

    assert _labels(left_out) == [0]
    assert _labels(replaced) == [0, 3, 0]
    for samples in (left_out, replaced):
        assert [s.path for s in samples if isinstance(s, Unreadable)] == ["2.png", "4.png"]


def test_one_sample_by_itself_raises() -> None:
    with pytest.raises(UnreadableImageError, match=r"^2\.png: the image cannot be read: torn\. Replace or remove"):
        SeededDataset(Squares(5, unreadable=(2,)), PREPROCESSING)[2]


def test_a_batch_is_normalized_and_keeps_what_could_not_be_read() -> None:
    samples = SeededDataset(Squares(3, unreadable=(1,)), PREPROCESSING).__getitems__([0, 1, 2])
    batch = Collate(PREPROCESSING)(samples)

    assert batch.images is not None
    torch.testing.assert_close(batch.images[1], torch.full((1, 4, 4), (2 / 255 - 0.5) / 0.5))
    assert batch.targets.tolist() == [0, 2]
    assert batch.targets.dtype == torch.int64
    assert batch.unreadable == (Unreadable("1.png", "torn"),)


def test_a_batch_of_nothing_has_no_images() -> None:
    assert Collate(PREPROCESSING)([Unreadable("1.png", "torn")]).images is None


@pytest.mark.slow
def test_seeding_a_sample_takes_less_than_50_microseconds() -> None:
    dataset = SeededDataset(Squares(64), Preprocessing(size=(8, 8), color="GRAY", mean=(0,), std=(1,)), lambda x: x)
    plain = SeededDataset(Squares(64), dataset.preprocessing)
    keys = [SampleKey(position, position) for position in range(64)]
    seconds = []
    for each in (plain, dataset):
        rounds = []
        for _ in range(30):
            start = time.perf_counter()
            each.__getitems__(keys)
            rounds.append(time.perf_counter() - start)
        seconds.append(min(rounds))

    assert (seconds[1] - seconds[0]) / len(keys) < 50e-6
