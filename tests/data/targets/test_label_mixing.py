"""MixUp and CutMix: the target has the share that each image has in the pixels."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from cuelight.data.targets.label_mixing import LabelMixing

BLACK, WHITE = 2, 0


def _plain(value: int, label: int, dtype: torch.dtype = torch.uint8) -> tuple[Tensor, int]:
    image = torch.full((3, 20, 30), value, dtype=torch.uint8)
    return (image if dtype == torch.uint8 else image.to(dtype) / 255), label


def _mix(count: int = 200, dtype: torch.dtype = torch.uint8, **options: Any) -> list[tuple[Tensor, Tensor]]:
    """Mix black images with white ones."""
    usual = {"num_classes": 4, "mixup_alpha": 0.0, "cutmix_alpha": 0.0, "probability": 1.0, "plain_epochs": 0}
    mixing = LabelMixing(**usual | options)
    torch.manual_seed(0)
    return [mixing(_plain(0, BLACK, dtype), lambda: _plain(255, WHITE, dtype)) for _ in range(count)]


def _is_two_colored(image: Tensor) -> bool:
    return set(image.unique().tolist()) == {0, 255}


@pytest.mark.parametrize("alpha", [1e-300, 0.001, 0.2, 1.0, 50.0])
def test_mixup_is_the_mean_of_two_images_by_the_share_of_each(alpha: float) -> None:
    shares = []
    for image, target in _mix(mixup_alpha=alpha):
        assert image.shape == (3, 20, 30)
        assert image.dtype == torch.uint8
        assert target.dtype == torch.float32
        assert target.sum() == pytest.approx(1)
        assert torch.equal(target.nonzero(), (target * torch.tensor([1, 0, 1, 0])).nonzero())
        [value] = image.unique().tolist()
        assert value == pytest.approx(255 * float(target[WHITE]), abs=1)
        shares.append(float(target[WHITE]))
    # The variance of a beta distribution.
    assert torch.tensor(shares).var() == pytest.approx(1 / (4 * (2 * alpha + 1)), rel=0.2)


@pytest.mark.parametrize("alpha", [0.001, 1.0])
def test_cutmix_pastes_a_rectangle_and_the_target_has_its_area(alpha: float) -> None:
    areas = set()
    for image, target in _mix(cutmix_alpha=alpha):
        white = (image == 255).all(0)
        assert torch.equal(white, (image == 255).any(0))
        assert set(image.unique().tolist()) <= {0, 255}
        assert float(target[WHITE]) == pytest.approx(float(white.float().mean()), abs=1e-6)
        assert float(target[BLACK]) == pytest.approx(1 - float(target[WHITE]), abs=1e-6)
        rows, columns = white.any(1), white.any(0)
        assert torch.equal(white, rows[:, None] & columns)
        areas.add(int(white.sum()))
    assert len(areas) > 2


def test_with_both_each_method_is_used_about_half_of_the_time() -> None:
    cut = sum(_is_two_colored(image) for image, _ in _mix(400, mixup_alpha=1.0, cutmix_alpha=1.0))
    assert 0.35 < cut / 400 < 0.6  # a patch that covers all, or nothing, counts as MixUp here


def test_images_are_mixed_with_their_probability() -> None:
    mixed = [image for image, _ in _mix(400, mixup_alpha=50.0, probability=0.3) if image.any()]
    assert len(mixed) / 400 == pytest.approx(0.3, abs=0.07)


def test_an_image_that_is_not_mixed_is_all_of_its_class() -> None:
    for image, target in _mix(5, mixup_alpha=1.0, probability=0.0):
        assert not image.any()
        assert target.tolist() == [0, 0, 1, 0]
        assert target.dtype == torch.float32


def test_the_scale_of_floating_point_images_is_kept() -> None:
    for image, target in _mix(20, dtype=torch.float32, mixup_alpha=1.0):
        assert image.dtype == torch.float32
        assert image.mean() == pytest.approx(float(target[WHITE]), abs=1e-6)


def test_every_shade_survives_where_it_is_not_mixed() -> None:
    shades = torch.arange(256, dtype=torch.uint8).view(1, 16, 16)
    mixing = LabelMixing(2, 1.0, 0.0, 1.0, 0)
    torch.manual_seed(0)
    for _ in range(20):
        image, target = mixing((shades, 1), lambda: (shades, 1))
        assert torch.equal(image, shades)
        assert target.tolist() == pytest.approx([0, 1])


def test_mixing_depends_on_the_generator_of_torch_alone() -> None:
    first, again = (_mix(20, mixup_alpha=0.4, cutmix_alpha=0.4, probability=0.7) for _ in range(2))
    assert all(torch.equal(a, b) and torch.equal(c, d) for (a, c), (b, d) in zip(first, again, strict=True))
