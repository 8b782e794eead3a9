from __future__ import annotations

import hashlib

import numpy as np
import pytest
import torch

from cuelight.data.base.packaged import load_photographs
from cuelight.data.base.scenes import SceneDrawer
from cuelight.data.datasets.digits import load_digits


@pytest.fixture(scope="module")
def draw() -> SceneDrawer:
    images, labels = load_digits()
    photographs = load_photographs(["coffee", "rocket", "china"], 160)
    return SceneDrawer(images[:, 0], labels, photographs, (64, 80), (2, 5), (3, 1), (0.34, 0.48))


def test_every_pixel_belongs_to_the_ground_or_to_one_digit(draw: SceneDrawer) -> None:
    counts = set()
    for index in range(60):
        image, instances, labels = draw(index)
        assert image.shape == (64, 80, 3)
        assert image.dtype == instances.dtype == labels.dtype == np.uint8
        assert np.unique(instances).tolist() == list(range(len(labels) + 1))
        assert labels.max() <= 9
        counts.add(len(labels))

    assert counts <= {1, 2, 3, 4, 5}
    assert len(counts) >= 3


def test_digits_are_seen_against_what_they_stand_on(draw: SceneDrawer) -> None:
    contrasts = []
    for index in range(40):
        image, instances, labels = draw(index)
        brightness = image @ np.array([0.299, 0.587, 0.114])
        for number in range(1, len(labels) + 1):
            rows, columns = np.nonzero(instances == number)
            around = np.s_[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
            ground = brightness[around][instances[around] == 0]
            contrasts.append(abs(brightness[rows, columns].mean() - ground.mean()))

    assert np.mean(np.array(contrasts) > 40) > 0.95
    assert np.mean(contrasts) > 70


def test_digits_differ_in_size_place_and_colour(draw: SceneDrawer) -> None:
    heights, tops, colours = set(), set(), set()
    for index in range(30):
        image, instances, labels = draw(index)
        for number in range(1, len(labels) + 1):
            rows, columns = np.nonzero(instances == number)
            heights.add(int(np.ptp(rows)))
            tops.add(int(rows.min()))
            colours.add(tuple(np.median(image[rows, columns], axis=0).astype(int) // 64))

    assert min(heights) < 22
    assert max(heights) > 30
    assert len(tops) > 20
    assert len(colours) > 20


def test_digits_hardly_cover_each_other(draw: SceneDrawer) -> None:
    """The first digit of a scene is the same where it is the only one: what it has lost there is seen."""
    images, labels = load_digits()
    photographs = load_photographs(["coffee"], 160)
    alone = SceneDrawer(images[:, 0], labels, photographs, (64, 80), (1, 1), (3, 1), (0.34, 0.48))
    touched = 0
    for index in range(80):
        _, instances, digits = draw(index)
        whole = alone(index).instances == 1
        seen = instances == 1
        assert not (seen & ~whole).any()
        lost = 1 - seen.sum() / whole.sum()
        assert lost <= 0.05 * (len(digits) - 1)
        touched += lost > 0

    assert touched > 3


def test_a_scene_depends_on_seed_and_index_alone(draw: SceneDrawer) -> None:
    images, labels = load_digits()
    photographs = load_photographs(["coffee", "rocket", "china"], 160)
    same, other = (
        SceneDrawer(images[:, 0], labels, photographs, (64, 80), (2, 5), seed, (0.34, 0.48))
        for seed in ((3, 1), (3, 2))
    )
    before = torch.get_rng_state(), np.random.get_state()[1].tolist()  # noqa: NPY002
    backwards = [same(index) for index in reversed(range(5))]

    for scene, again in zip(backwards, (draw(index) for index in reversed(range(5))), strict=True):
        assert all(map(np.array_equal, scene, again))
    assert not np.array_equal(draw(0).image, draw(1).image)
    assert not np.array_equal(draw(0).image, other(0).image)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert np.random.get_state()[1].tolist() == before[1]  # noqa: NPY002


def test_scenes_are_the_same_on_any_machine(draw: SceneDrawer) -> None:
    digest = hashlib.sha256()
    for index in range(20):
        for part in draw(index):
            digest.update(part.tobytes())

    assert digest.hexdigest() == "19d27ee800594b0ebd404d1a79d85a9add92588e0a50ba1e91c412976759fbb7"
