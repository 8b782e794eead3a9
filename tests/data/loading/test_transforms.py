from __future__ import annotations

import pytest
import torch

from cuelight import registry
from cuelight.config import Part
from cuelight.data.loading.transforms import build_augmentation, sees_whole_image

REQUIRED = {
    "CenterCrop": {"size": 8},
    "GaussianBlur": {"kernel_size": 3},
    "JPEG": {"quality": 50},
    "Pad": {"padding": 2},
    "RandomAdjustSharpness": {"sharpness_factor": 2.0},
    "RandomAffine": {"degrees": 10},
    "RandomCrop": {"size": 8},
    "RandomPosterize": {"bits": 3},
    "RandomResize": {"min_size": 8, "max_size": 12},
    "RandomResizedCrop": {"size": 8},
    "RandomRotation": {"degrees": 10},
    "RandomShortestSize": {"min_size": 8},
    "RandomSolarize": {"threshold": 100},
    "Resize": {"size": 8},
}


@pytest.mark.parametrize("name", registry.transforms.names())
def test_every_registered_transform_augments_an_image(name: str) -> None:
    augmentation = build_augmentation([Part(name=name, params=REQUIRED.get(name, {}))])
    image = torch.randint(0, 256, (3, 64, 80), dtype=torch.uint8)

    assert augmentation is not None
    for _ in range(5):
        assert augmentation(image).ndim == 3


def test_transforms_are_applied_in_the_order_of_the_list() -> None:
    pad, crop = Part(name="Pad", params={"padding": 4}), Part(name="CenterCrop", params={"size": 8})
    image = torch.full((1, 8, 8), 9, dtype=torch.uint8)
    padded_last, padded_first = build_augmentation([crop, pad]), build_augmentation([pad, crop])

    assert padded_last is not None
    assert padded_first is not None
    assert padded_last(image).shape == (1, 16, 16)
    assert padded_first(image).shape == (1, 8, 8)


def test_no_transforms_are_no_augmentation() -> None:
    assert build_augmentation(None) is None
    assert build_augmentation([]) is None


def test_only_a_list_that_crops_or_resizes_sees_the_whole_image() -> None:
    flip, crop = Part(name="RandomHorizontalFlip"), Part(name="RandomResizedCrop", params={"size": 8})

    assert sees_whole_image([flip, crop])
    assert not sees_whole_image([flip])
    assert not sees_whole_image(None)
