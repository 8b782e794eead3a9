from __future__ import annotations

import numpy as np
import pytest

from cuelight.data.base.image_data_module import ImageDataModule
from cuelight.data.base.image_files import ImageFiles
from cuelight.data.base.splits import grouped_split, stratified_split, take_fold
from cuelight.errors import DataError
from support.checks import data_problems


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


def _people(sizes: list[int]) -> list[str]:
    return [f"person{number}" for number, size in enumerate(sizes) for _ in range(size)]


def test_groups_stay_whole_and_the_shares_are_about_those_asked_for() -> None:
    groups = _people([1, 2, 3, 4] * 25)
    labels = np.random.default_rng(0).integers(4, size=len(groups)).tolist()
    parts = grouped_split(labels, groups, [0.2, 0.1], 5, "x")

    assert sorted(np.concatenate(parts).tolist()) == list(range(250))
    names = [{groups[position] for position in part} for part in parts]
    assert sum(map(len, names)) == 100 == len(set().union(*names))
    assert [len(part) / 250 for part in parts] == pytest.approx([0.7, 0.2, 0.1], abs=0.01)
    for label in range(4):
        total = labels.count(label)
        shares = [sum(labels[position] == label for position in part) / total for part in parts]
        assert shares == pytest.approx([0.7, 0.2, 0.1], abs=0.05)


def test_groups_of_one_class_each_are_stratified() -> None:
    groups, labels = _people([5] * 40), [0] * 150 + [1] * 50
    counts = [np.bincount(np.asarray(labels)[part], minlength=2).tolist() for part in
              grouped_split(labels, groups, [0.2, 0.2], 0, "x")]  # fmt: skip

    assert counts == [[90, 30], [30, 10], [30, 10]]


def test_the_choice_of_groups_follows_the_seed_and_not_the_order_of_the_samples() -> None:
    groups, labels = _people([3] * 30), [0, 1, 1] * 30
    first, again, other = (grouped_split(labels, groups, [0.3], seed, "x")[1].tolist() for seed in (1, 1, 2))
    backwards = grouped_split(labels[::-1], groups[::-1], [0.3], 1, "x")[1]

    assert first == again != other
    assert sorted(89 - backwards) == first


@pytest.mark.parametrize("sizes", [[50, 1, 1], [1, 1, 1], [10, 10, 10], [100, 2, 1, 1, 1]])
def test_every_part_has_a_group_as_long_as_there_are_enough(sizes: list[int]) -> None:
    parts = grouped_split([0] * sum(sizes), _people(sizes), [0.15, 0.15], 0, "x")

    assert all(map(len, parts))
    assert len(parts[0]) == max(map(len, parts))


def test_a_part_without_a_share_gets_no_group() -> None:
    assert [len(part) for part in grouped_split([0] * 10, _people([2] * 5), [0.2, 0.0], 0, "x")] == [8, 2, 0]


def test_too_few_groups_are_refused() -> None:
    with pytest.raises(DataError, match="photos: expected at least 3 groups, one for each split or fold, got 2"):
        grouped_split([0] * 10, _people([5, 5]), [0.2, 0.2], 0, "photos")


def _folds(labels: list[int], folds: int, groups: list[str] | None = None, seed: int = 0) -> list[dict[str, list[str]]]:
    files = ImageFiles([str(number) for number in range(len(labels))], labels)
    made = (take_fold(files, labels, folds, fold, seed, "photos", groups) for fold in range(folds))
    return [{split: part.paths for split, part in parts.items()} for parts in made]


@pytest.mark.parametrize("groups", [None, _people([3] * 20)])
def test_folds_are_disjoint_and_complete_and_stratified(groups: list[str] | None) -> None:
    labels = [0, 0, 1] * 20
    made = _folds(labels, 4, groups)

    assert sorted(path for parts in made for path in parts["val"]) == sorted(map(str, range(60)))
    for parts in made:
        assert sorted(parts["train"] + parts["val"]) == sorted(map(str, range(60)))
        assert [sum(labels[int(path)] == label for path in parts["val"]) for label in (0, 1)] == [10, 5]
        if groups:
            assert not {groups[int(path)] for path in parts["val"]} & {groups[int(path)] for path in parts["train"]}
    assert made != _folds(labels, 4, groups, seed=1)


def test_folds_have_one_size_where_classes_are_small() -> None:
    labels = [label for label in range(10) for _ in range(3)]

    assert [len(parts["val"]) for parts in _folds(labels, 5)] == [6] * 5
    assert all({labels[int(path)] for path in parts["train"]} == set(range(10)) for parts in _folds(labels, 5))


def test_more_folds_than_images_or_groups_are_refused() -> None:
    with pytest.raises(DataError, match="photos: expected at least 5 training images, one for each fold, got 4"):
        _folds([0] * 4, 5)
    with pytest.raises(DataError, match="photos: expected at least 5 groups, one for each split or fold, got 2"):
        _folds([0] * 6, 5, _people([3, 3]))


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ({"folds": 5, "fold": 5}, "data.params.fold: expected 0 to 4, got 5."),
        ({"fold": 1}, "data.params.fold: it needs the number of folds, such as folds: 5."),
        ({"folds": 5, "val_split": 0.2}, "data.params.val_split: it excludes folds, of which one is for validation."),
        ({"group_by": "person"}, "data.params.group_by: expected a regular expression with one group in parentheses"),
        ({"group_by": "(a)(b)"}, "(a)(b) has 2."),
        ({"group_by": "person("}, "data.params.group_by: person( is not a regular expression: "),
        ({"folds": 1}, "data.params.folds"),
        ({"folds": 5, "fold": -1}, "data.params.fold"),
    ],
)
@pytest.mark.parametrize("name", ["ImageFolder", "MaskFolder", "YoloDetection", "CocoKeypoints"])
def test_wrong_folds_and_groups_are_found_before_the_data_is_read(name: str, params: dict, expected: str) -> None:
    (problem,) = data_problems({"name": name, "params": {"path": "nowhere", **params}})
    assert expected in str(problem)


def test_the_defaults_may_be_written_out() -> None:
    params = {"path": "nowhere", "folds": 5, "fold": 0, "val_split": 0.15, "group_by": None}
    assert data_problems({"name": "ImageFolder", "params": params}) == []
