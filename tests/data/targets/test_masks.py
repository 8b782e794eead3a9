"""What a transform does to an image it does to its mask."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from cuelight.config import Part
from cuelight.data.base.packaged import load_photographs
from cuelight.data.loading.transforms import build_augmentation
from cuelight.data.targets.masks import MASKS, ClassMask
from cuelight.images import tensors
from cuelight.images.preprocessing import IGNORE_INDEX, Preprocessing

# Each with how far a pixel may be off, where the image is interpolated and the mask is not.
GEOMETRIC = {
    "CenterCrop": ({"size": [60, 140]}, 0),
    "ElasticTransform": ({"alpha": 60.0}, 1),
    "Pad": ({"padding": [3, 9]}, 0),
    "RandomAffine": ({"degrees": 30, "translate": [0.2, 0.2], "scale": [0.6, 1.4], "shear": [-10, 10]}, 0),
    "RandomCrop": ({"size": [90, 110], "padding": 20}, 0),
    "RandomHorizontalFlip": ({"p": 1.0}, 0),
    "RandomPerspective": ({"p": 1.0}, 1),
    "RandomResize": ({"min_size": 40, "max_size": 70}, 1.6),
    "RandomResizedCrop": ({"size": [50, 40]}, 1.6),
    "RandomRotation": ({"degrees": 40, "expand": True}, 0),
    "RandomShortestSize": ({"min_size": 35}, 1.6),
    "RandomVerticalFlip": ({"p": 1.0}, 0),
    "RandomZoomOut": ({"p": 1.0}, 0),
    "Resize": ({"size": [41, 37]}, 1.6),
}
PHOTOMETRIC = {
    "ColorJitter": {"brightness": 0.5, "hue": 0.1},
    "GaussianBlur": {"kernel_size": 5},
    "GaussianNoise": {},
    "Grayscale": {"num_output_channels": 3},
    "JPEG": {"quality": 30},
    "RandomAdjustSharpness": {"sharpness_factor": 3.0, "p": 1.0},
    "RandomAutocontrast": {"p": 1.0},
    "RandomChannelPermutation": {},
    "RandomEqualize": {"p": 1.0},
    "RandomGrayscale": {"p": 1.0},
    "RandomInvert": {"p": 1.0},
    "RandomPhotometricDistort": {"p": 1.0},
    "RandomPosterize": {"bits": 3, "p": 1.0},
    "RandomSolarize": {"threshold": 100, "p": 1.0},
}


@pytest.fixture(scope="module")
def photograph() -> Tensor:
    (coffee,) = load_photographs(["coffee"], 120)
    return torch.from_numpy(coffee.copy()).permute(2, 0, 1)


def _augment(name: str, params: dict[str, object], image: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    augmentation = build_augmentation([Part(name=name, params=params)])
    assert augmentation is not None
    changed, moved = augmentation(image, mask.as_subclass(ClassMask))
    assert type(moved) is ClassMask
    assert moved.dtype == torch.uint8
    return changed, moved.as_subclass(Tensor)


@pytest.mark.parametrize("name", GEOMETRIC)
def test_a_photograph_and_the_mask_of_its_bright_parts_stay_together(name: str, photograph: Tensor) -> None:
    bright = (photograph.float().mean(0) > 110).to(torch.uint8)
    image = bright.expand(3, -1, -1) * 255
    for seed in range(3):
        torch.manual_seed(seed)
        changed, mask = _augment(name, GEOMETRIC[name][0], image, bright)
        inside = mask != IGNORE_INDEX
        agree = ((changed[0] > 127) == (mask == 1))[inside].float().mean()
        assert changed.shape[1:] == mask.shape
        assert inside.float().mean() > 0.04
        assert agree == 1 if GEOMETRIC[name][1] == 0 else agree > 0.93


@pytest.mark.parametrize("name", GEOMETRIC)
@pytest.mark.parametrize("axis", [0, 1])
def test_no_pixel_of_the_mask_is_off(name: str, axis: int) -> None:
    """The value of a pixel is its place, from 40 on, so that what is brought in from outside is told apart."""
    height, width = 120, 180
    places = torch.arange(40, 40 + (height, width)[axis], dtype=torch.uint8)
    mask = (places[:, None] if axis == 0 else places[None]).expand(height, width).contiguous()
    for seed in range(3):
        torch.manual_seed(seed)
        changed, moved = _augment(name, GEOMETRIC[name][0], mask.expand(3, -1, -1).contiguous(), mask)
        inside = (moved != IGNORE_INDEX) & (changed[0] >= 40)
        off = (changed[0].float() - moved.float())[inside]
        assert off.abs().quantile(0.9) <= GEOMETRIC[name][1]  # at the edge, colours mix with what is outside
        assert off.median().abs() <= GEOMETRIC[name][1] / 3


@pytest.mark.parametrize("fill", [{}, {"fill": 90}, {"fill": [1, 2, 3]}])
@pytest.mark.parametrize(
    "name", ["Pad", "RandomAffine", "RandomCrop", "RandomPerspective", "RandomRotation", "RandomZoomOut"]
)
def test_what_comes_from_outside_belongs_to_no_class(name: str, fill: dict[str, object]) -> None:
    params = GEOMETRIC[name][0] | fill
    colour = torch.tensor(fill.get("fill", 0)).expand(3)[:, None, None]
    torch.manual_seed(0)
    changed, mask = _augment(
        name, params, torch.full((3, 120, 180), 200, dtype=torch.uint8), torch.ones(120, 180).byte()
    )

    outside = (changed == colour).all(0)
    assert outside.any()
    if name != "RandomPerspective":  # it mixes the colours of the edge
        assert torch.equal(outside, mask == IGNORE_INDEX)
    assert set(mask.unique().tolist()) == {1, IGNORE_INDEX}


def test_a_center_crop_larger_than_the_image_is_filled_with_no_class() -> None:
    changed, mask = _augment(
        "CenterCrop", {"size": [30, 20]}, torch.full((3, 11, 24), 9).byte(), torch.zeros(11, 24).byte()
    )

    assert torch.equal(changed[0] == 0, mask == IGNORE_INDEX)
    assert (mask == 0).sum() == 11 * 20


@pytest.mark.parametrize("name", PHOTOMETRIC)
def test_what_changes_colours_leaves_the_mask(name: str, photograph: Tensor) -> None:
    mask = photograph[0] // 32
    torch.manual_seed(1)
    changed, same = _augment(name, PHOTOMETRIC[name], photograph, mask)

    assert not torch.equal(changed, photograph)
    assert torch.equal(same, mask)


@pytest.mark.parametrize("resize", ["stretch", "crop", "letterbox"])
@pytest.mark.parametrize("size", [(40, 40), (30, 71), (200, 210)])
@pytest.mark.parametrize("axis", [0, 1])
def test_a_mask_is_fitted_as_its_image_is(resize: str, size: tuple[int, int], axis: int) -> None:
    """The value of a pixel is its place, from 20 on: the mask may differ from its image by rounding alone."""
    height, width = 150, 190
    places = torch.arange(20, 20 + (height, width)[axis], dtype=torch.uint8)
    mask = (places[:, None] if axis == 0 else places[None]).expand(height, width).contiguous()
    preprocessing = Preprocessing(size=size, resize=resize)

    image, fitted = tensors.fit(preprocessing, mask.expand(3, -1, -1).contiguous())[0], MASKS.fit(mask, preprocessing)

    outside = image == 0
    assert fitted.shape == size
    assert fitted.dtype == torch.uint8
    assert torch.equal(fitted == IGNORE_INDEX, outside)
    assert outside.any() == (resize == "letterbox")
    off = image.float() - fitted.float()
    # Nearest at the edge of an enlarged image is not what the mean of its neighbours is.
    assert off[~outside].abs().max() <= 2.5
    assert off[~outside].mean().abs() < 0.3


def test_a_fitted_mask_has_no_class_that_was_not_there() -> None:
    mask = torch.from_numpy(np.random.default_rng(0).choice(np.array([0, 7, 40, 255], dtype=np.uint8), (90, 60)))
    for resize in ("stretch", "crop", "letterbox"):
        fitted = MASKS.fit(mask, Preprocessing(size=(33, 50), resize=resize))
        assert set(fitted.unique().tolist()) == {0, 7, 40, 255}


def test_a_mask_of_the_final_size_stays_as_it_is() -> None:
    mask = torch.arange(12, dtype=torch.uint8).reshape(3, 4)

    assert torch.equal(MASKS.fit(mask, Preprocessing(size=(3, 4), resize="letterbox")), mask)
