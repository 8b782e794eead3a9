from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms import v2

from cuelight.errors import DataError
from cuelight.images import tensors
from cuelight.images.preprocessing import IMAGENET_MEAN, IMAGENET_STD, Preprocessing


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

    prepared = tensors.prepare(Preprocessing(size=(32, 48)), photo)

    assert prepared.dtype == torch.float32
    torch.testing.assert_close(prepared, reference(photo).as_subclass(torch.Tensor), atol=1e-5, rtol=0)


def test_a_picture_survives_normalize_and_denormalize_in_any_color_order() -> None:
    photo = _photo(32, 32)
    for color in ("RGB", "BGR", "GRAY"):
        preprocessing = Preprocessing(size=(32, 32), mean=(0.4,), std=(0.2,), color=color)
        picture = tensors.denormalize(preprocessing, tensors.prepare(preprocessing, photo)[None])[0]
        mode = "L" if color == "GRAY" else "RGB"
        expected = torch.from_numpy(np.array(photo.convert(mode))).reshape(32, 32, -1).permute(2, 0, 1) / 255
        torch.testing.assert_close(picture, expected, atol=1e-6, rtol=0)


def test_bgr_gives_the_model_blue_first_with_the_mean_of_blue_first() -> None:
    pure_blue = Image.new("RGB", (4, 4), (0, 0, 255))

    prepared = tensors.prepare(
        Preprocessing(size=(4, 4), mean=(0.5, 0.0, 0.0), std=(0.5, 1.0, 1.0), color="BGR"), pure_blue
    )

    assert prepared[:, 0, 0].tolist() == [1.0, 0.0, 0.0]


def test_letterbox_keeps_all_of_the_image_and_fills_with_black() -> None:
    white = Image.new("RGB", (40, 20), "white")

    fitted = tensors.fit(Preprocessing(size=(32, 32), resize="letterbox"), white)

    assert fitted.shape == (3, 32, 32)
    assert (fitted[:, 8:24] == 255).all()
    assert (fitted[:, :8] == 0).all()
    assert (fitted[:, 24:] == 0).all()


def test_crop_keeps_the_aspect_ratio_and_cuts_the_middle_out() -> None:
    stripes = np.zeros((20, 60, 3), dtype=np.uint8)
    stripes[:, 20:40] = 255  # the middle square is white

    fitted = tensors.fit(Preprocessing(size=(10, 10), resize="crop"), Image.fromarray(stripes))

    assert fitted.shape == (3, 10, 10)
    assert (fitted[:, :, 1:-1] == 255).all()


@pytest.mark.parametrize("resize", ["stretch", "crop", "letterbox"])
@pytest.mark.parametrize("size", [(1, 700), (700, 1), (17, 31)])
def test_every_mode_gives_the_size_for_any_aspect_ratio(resize: str, size: tuple[int, int]) -> None:
    assert tensors.fit(Preprocessing(size=(12, 20), resize=resize), _photo(*size)).shape == (3, 12, 20)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "CMYK", "YCbCr", "HSV", "I", "I;16", "F"])
def test_every_mode_of_pillow_is_taken(mode: str) -> None:
    image = _photo(16, 16).convert("L" if mode in {"I", "I;16", "F"} else "RGB").convert(mode)
    gray = {"mean": (0.5,), "std": (0.5,), "color": "GRAY"}

    assert tensors.prepare(Preprocessing(size=(8, 8), value_range=(0, 255)), image).shape == (3, 8, 8)
    assert tensors.prepare(Preprocessing(size=(8, 8), value_range=(0, 255), **gray), image).shape == (1, 8, 8)


@pytest.mark.parametrize("mode", ["I", "I;16", "F"])
def test_no_value_range_is_guessed(mode: str) -> None:
    with pytest.raises(DataError, match=f"its mode {mode} does not say which values are black and white"):
        tensors.prepare(Preprocessing(size=(8, 8)), _photo(16, 16).convert("L").convert(mode))


def test_deep_values_are_scaled_at_full_precision() -> None:
    deep = Image.fromarray(np.array([[100, 101], [4095, 65535]], dtype=np.uint16))
    for color, channels in (("RGB", 3), ("BGR", 3), ("GRAY", 1)):
        plain = {"mean": (0,), "std": (1,), "color": color}
        prepared = tensors.prepare(Preprocessing(size=(2, 2), value_range=(100, 4095), **plain), deep)
        assert prepared.shape == (channels, 2, 2)
        expected = torch.tensor([[0, 1 / 3995], [1, 1]])
        torch.testing.assert_close(prepared, expected.expand(channels, 2, 2), rtol=0, atol=1e-7)


def test_black_may_be_the_larger_value() -> None:
    deep = Image.fromarray(np.array([[0, 3], [4, 4]], dtype=np.int32))
    plain = Preprocessing(size=(2, 2), mean=(0,), std=(1,), color="GRAY", value_range=(4, 0))

    assert tensors.prepare(plain, deep).tolist() == [[[1, 0.25], [0, 0]]]


def test_images_of_8_bits_are_as_bright_with_a_value_range() -> None:
    photo = _photo(8, 8)
    prepared = tensors.prepare(Preprocessing(size=(8, 8), value_range=(0, 4095)), photo)

    torch.testing.assert_close(prepared, tensors.prepare(Preprocessing(size=(8, 8)), photo))


def test_a_tensor_is_prepared_like_the_image_that_it_is_of() -> None:
    photo = _photo(64, 48)
    tensor = torch.from_numpy(np.array(photo)).permute(2, 0, 1)
    for color in ("RGB", "BGR"):
        preprocessing = Preprocessing(size=(24, 24), color=color)
        assert torch.equal(tensors.prepare(preprocessing, tensor), tensors.prepare(preprocessing, photo))
        assert torch.equal(tensors.prepare(preprocessing, tensor[None])[0], tensors.prepare(preprocessing, photo))


def test_a_float_tensor_is_on_the_0_1_scale() -> None:
    preprocessing = Preprocessing(size=(4, 4))
    bytes_ = torch.randint(0, 256, (3, 4, 4), dtype=torch.uint8)

    torch.testing.assert_close(
        tensors.prepare(preprocessing, bytes_ / 255.0), tensors.prepare(preprocessing, bytes_), atol=1e-5, rtol=0
    )
