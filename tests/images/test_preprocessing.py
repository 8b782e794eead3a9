from __future__ import annotations

import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from torchvision.transforms import v2

from cuelight.errors import ConfigError
from cuelight.images.preprocessing import IGNORE_INDEX, IMAGENET_MEAN, IMAGENET_STD, Preprocessing


def _photo(height: int, width: int) -> Image.Image:
    small = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    return Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC)


def test_stretch_is_what_torchvision_does() -> None:
    photo = _photo(90, 120)
    reference = v2.Compose(
        [
            v2.ToImage(),
            v2.Resize((32, 48), antialias=True),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize(IMAGENET_MEAN, IMAGENET_STD),
        ]
    )

    prepared = Preprocessing(size=(32, 48))(photo)

    assert prepared.dtype == torch.float32
    torch.testing.assert_close(prepared, reference(photo).as_subclass(torch.Tensor), atol=1e-5, rtol=0)


def test_a_picture_survives_normalize_and_denormalize_in_any_color_order() -> None:
    photo = _photo(32, 32)
    for color in ("RGB", "BGR", "GRAY"):
        preprocessing = Preprocessing(size=(32, 32), mean=(0.4,), std=(0.2,), color=color)
        picture = preprocessing.denormalize(preprocessing(photo)[None])[0]
        mode = "L" if color == "GRAY" else "RGB"
        expected = torch.from_numpy(np.array(photo.convert(mode))).reshape(32, 32, -1).permute(2, 0, 1) / 255
        torch.testing.assert_close(picture, expected, atol=1e-6, rtol=0)


def test_bgr_gives_the_model_blue_first_with_the_mean_of_blue_first() -> None:
    pure_blue = Image.new("RGB", (4, 4), (0, 0, 255))

    prepared = Preprocessing(size=(4, 4), mean=(0.5, 0.0, 0.0), std=(0.5, 1.0, 1.0), color="BGR")(pure_blue)

    assert prepared[:, 0, 0].tolist() == [1.0, 0.0, 0.0]


def test_letterbox_keeps_all_of_the_image_and_fills_with_black() -> None:
    white = Image.new("RGB", (40, 20), "white")

    fitted = Preprocessing(size=(32, 32), resize="letterbox").fit(white)

    assert fitted.shape == (3, 32, 32)
    assert (fitted[:, 8:24] == 255).all()
    assert (fitted[:, :8] == 0).all()
    assert (fitted[:, 24:] == 0).all()


def test_crop_keeps_the_aspect_ratio_and_cuts_the_middle_out() -> None:
    stripes = np.zeros((20, 60, 3), dtype=np.uint8)
    stripes[:, 20:40] = 255  # the middle square is white

    fitted = Preprocessing(size=(10, 10), resize="crop").fit(Image.fromarray(stripes))

    assert fitted.shape == (3, 10, 10)
    assert (fitted[:, :, 1:-1] == 255).all()


@pytest.mark.parametrize("resize", ["stretch", "crop", "letterbox"])
@pytest.mark.parametrize("size", [(1, 700), (700, 1), (17, 31)])
def test_every_mode_gives_the_size_for_any_aspect_ratio(resize: str, size: tuple[int, int]) -> None:
    assert Preprocessing(size=(12, 20), resize=resize).fit(_photo(*size)).shape == (3, 12, 20)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "CMYK", "I", "F"])
def test_every_mode_of_pillow_is_taken(mode: str) -> None:
    image = _photo(16, 16).convert("L" if mode in {"I", "F"} else "RGB").convert(mode)

    assert Preprocessing(size=(8, 8))(image).shape == (3, 8, 8)
    assert Preprocessing(size=(8, 8), mean=(0.5,), std=(0.5,), color="GRAY")(image).shape == (1, 8, 8)


def test_a_tensor_is_prepared_like_the_image_that_it_is_of() -> None:
    photo = _photo(64, 48)
    tensor = torch.from_numpy(np.array(photo)).permute(2, 0, 1)
    for color in ("RGB", "BGR"):
        preprocessing = Preprocessing(size=(24, 24), color=color)
        assert torch.equal(preprocessing(tensor), preprocessing(photo))
        assert torch.equal(preprocessing(tensor[None])[0], preprocessing(photo))


def test_a_float_tensor_is_on_the_0_1_scale() -> None:
    preprocessing = Preprocessing(size=(4, 4))
    bytes_ = torch.randint(0, 256, (3, 4, 4), dtype=torch.uint8)

    torch.testing.assert_close(preprocessing(bytes_ / 255.0), preprocessing(bytes_), atol=1e-5, rtol=0)


def test_it_is_written_to_a_file_and_read_back_equal() -> None:
    preprocessing = Preprocessing(size=(8, 9), mean=(0.1, 0.2, 0.3), color="BGR", resize="letterbox")

    assert Preprocessing.from_dict(yaml.safe_load(yaml.safe_dump(preprocessing.to_dict()))) == preprocessing


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"size": (0, 5)}, "size: expected height and width in pixels of at least 1, got (0, 5)"),
        ({"size": (5,)}, "size: expected height and width"),
        ({"color": "rgb"}, "color: expected one of RGB, BGR, GRAY; got 'rgb'"),
        ({"resize": "pad"}, "resize: expected one of stretch, crop, letterbox; got 'pad'"),
        ({"mean": (0.1, 0.2)}, "mean: expected 3 numbers, one for each channel of RGB, or a single one; got 2"),
        ({"std": (0.1, 0.0, 0.2)}, "std: expected numbers greater than 0"),
    ],
)
def test_a_wrong_value_is_refused_with_what_was_expected(params: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message.replace("(", r"\(").replace(")", r"\)")):
        Preprocessing(**{"size": (4, 4), **params})


@pytest.mark.parametrize("resize", ["stretch", "crop", "letterbox"])
@pytest.mark.parametrize("size", [(40, 40), (30, 71), (200, 210)])
@pytest.mark.parametrize("axis", [0, 1])
def test_a_mask_is_fitted_as_its_image_is(resize: str, size: tuple[int, int], axis: int) -> None:
    """The value of a pixel is its place, from 20 on: the mask may differ from its image by rounding alone."""
    height, width = 150, 190
    places = torch.arange(20, 20 + (height, width)[axis], dtype=torch.uint8)
    mask = (places[:, None] if axis == 0 else places[None]).expand(height, width).contiguous()
    preprocessing = Preprocessing(size=size, resize=resize)

    image, fitted = preprocessing.fit(mask.expand(3, -1, -1).contiguous())[0], preprocessing.fit_mask(mask)

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
        fitted = Preprocessing(size=(33, 50), resize=resize).fit_mask(mask)
        assert set(fitted.unique().tolist()) == {0, 7, 40, 255}


def test_a_mask_of_the_final_size_stays_as_it_is() -> None:
    mask = torch.arange(12, dtype=torch.uint8).reshape(3, 4)

    assert torch.equal(Preprocessing(size=(3, 4), resize="letterbox").fit_mask(mask), mask)
