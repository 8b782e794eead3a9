from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cuelight.data.base.image_files import ImageFiles
from cuelight.data.reading import UnreadableImageError, read_image


@pytest.fixture
def photo() -> Image.Image:
    small = np.random.default_rng(0).integers(0, 256, (6, 9, 3), dtype=np.uint8)
    return Image.fromarray(small).resize((90, 60), Image.Resampling.BICUBIC)


@pytest.mark.parametrize("extension", ["jpg", "png", "bmp", "tiff", "webp"])
def test_the_usual_formats_are_read(tmp_path: Path, photo: Image.Image, extension: str) -> None:
    photo.save(tmp_path / f"photo.{extension}")
    image, label = ImageFiles([str(tmp_path / f"photo.{extension}")], [7])[0]

    assert image.size == (90, 60)
    assert label == 7
    assert np.abs(np.asarray(image.convert("RGB"), dtype=int) - np.asarray(photo)).mean() < 5


def test_a_photo_is_turned_upright(tmp_path: Path, photo: Image.Image) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held on its side
    photo.save(tmp_path / "photo.png", exif=exif)

    assert read_image(str(tmp_path / "photo.png")).size == (60, 90)


def test_of_16_bits_the_upper_8_are_used(tmp_path: Path) -> None:
    deep = np.array([[0, 256, 65535]], dtype=np.uint16)
    Image.fromarray(deep).save(tmp_path / "deep.png")

    assert np.asarray(read_image(str(tmp_path / "deep.png"))).tolist() == [[0, 1, 255]]


@pytest.mark.filterwarnings("error")
def test_a_palette_with_transparency_gives_no_warning(tmp_path: Path, photo: Image.Image) -> None:
    photo.convert("P").save(tmp_path / "icon.png", transparency=b"\x00\x80")

    assert read_image(str(tmp_path / "icon.png")).convert("RGB").size == (90, 60)


@pytest.mark.parametrize("extension", ["jpg", "png", "bmp", "tiff", "webp"])
@pytest.mark.parametrize("kept", [0, 10, 200])
def test_a_torn_file_is_named(tmp_path: Path, photo: Image.Image, extension: str, kept: int) -> None:
    path = tmp_path / f"photo.{extension}"
    photo.save(path)
    path.write_bytes(path.read_bytes()[:kept])

    with pytest.raises(UnreadableImageError, match=f"photo.{extension}: the image cannot be read: "):
        read_image(str(path))


@pytest.mark.filterwarnings("ignore::UserWarning")  # of Pillow, about damaged TIFF tags
def test_noise_inside_a_file_is_an_image_or_an_error_of_ours(tmp_path: Path, photo: Image.Image) -> None:
    generator = np.random.default_rng(1)
    refused = 0
    for extension in ("jpg", "png", "bmp", "tiff", "webp", "ppm"):
        photo.save(tmp_path / f"photo.{extension}")
        whole = np.frombuffer((tmp_path / f"photo.{extension}").read_bytes(), dtype=np.uint8)
        for _ in range(60):
            damaged = whole.copy()
            damaged[generator.integers(0, min(len(whole), 400), 8)] = generator.integers(0, 256, 8)
            path = tmp_path / f"damaged.{extension}"
            path.write_bytes(damaged.tobytes())
            try:
                read_image(str(path))
            except UnreadableImageError:
                refused += 1
    assert refused > 20


def test_a_missing_file_and_no_image_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(UnreadableImageError, match="the file no longer exists"):
        read_image(str(tmp_path / "gone.png"))
    (tmp_path / "page.png").write_text("<html>not found</html>")
    with pytest.raises(UnreadableImageError, match="it is not an image, or Pillow does not support its format"):
        read_image(str(tmp_path / "page.png"))
