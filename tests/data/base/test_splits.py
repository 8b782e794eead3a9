from __future__ import annotations

import numpy as np
import pytest

from cuelight.data.base.image_data_module import ImageDataModule
from cuelight.data.base.splits import stratified_split


def test_each_class_is_divided_by_the_ratios_and_nothing_is_lost() -> None:
    labels = [0] * 100 + [1] * 20 + [2] * 10
    parts = stratified_split(labels, [0.2, 0.1], seed=3)

    counts = [np.bincount(np.asarray(labels)[part], minlength=3).tolist() for part in parts]
    assert counts == [[70, 14, 7], [20, 4, 2], [10, 2, 1]]
    assert sorted(np.concatenate(parts).tolist()) == list(range(130))


def test_the_choice_follows_the_seed() -> None:
    labels = [0] * 50
    first, again, other = (stratified_split(labels, [0.2], seed)[1].tolist() for seed in (1, 1, 2))

    assert first == again != other


@pytest.mark.parametrize(("count", "sizes"), [(1, [1, 0, 0]), (2, [2, 0, 0]), (3, [1, 1, 1]), (4, [2, 1, 1])])
def test_a_small_class_always_has_samples_to_learn_from(count: int, sizes: list[int]) -> None:
    assert [len(part) for part in stratified_split([5] * count, [0.15, 0.15], seed=0)] == sizes


def test_large_ratios_leave_a_sample_to_learn_from() -> None:
    assert [len(part) for part in stratified_split([0] * 3, [0.49, 0.5], seed=0)] == [1, 1, 1]


def test_a_ratio_of_zero_gives_nothing() -> None:
    assert [len(part) for part in stratified_split([0] * 10, [0.2, 0.0], seed=0)] == [8, 2, 0]


class _SeveralClassesPerImage:
    labels = np.array([[0, 1], [1, 1]])

    def __len__(self) -> int:
        return 2


def test_images_may_have_several_classes() -> None:
    data = ImageDataModule(None, batch_size=2, num_workers=0, seed=0)
    data.class_names = ["cat", "dog"]
    data.take_splits({"train": _SeveralClassesPerImage()})

    assert data.split_names == ["train"]
