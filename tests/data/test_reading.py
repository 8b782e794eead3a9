from __future__ import annotations

import os
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, TiffImagePlugin

from cuelight.data.base.image_files import ImageFiles
from cuelight.data.reading import UnreadableImageError, read_image, read_with_header
from cuelight.errors import DataError
from cuelight.images.preprocessing import Preprocessing
from cuelight.images.tensors import to_tensor


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


def test_an_orientation_that_does_not_exist_is_none(tmp_path: Path, photo: Image.Image) -> None:
    for number, value in enumerate((0, 9)):
        exif = Image.Exif()
        exif[0x0112] = value
        photo.save(tmp_path / f"{number}.jpg", exif=exif)

        image, header = read_with_header(str(tmp_path / f"{number}.jpg"))
        assert (image.size, header.turned) == (photo.size, False)


SENSOR = np.array([[0, 1000], [4095, 5000]], dtype=np.uint16)


@pytest.mark.parametrize(
    ("values", "name", "mode", "expected"),
    [
        (SENSOR, "deep.png", "I;16", r"0 to 5000\. Train .*value_range: \[black, white\]"),
        (SENSOR, "deep.jp2", "I;16", r"0 to 5000\. Train .*value_range: \[black, white\]"),
        (SENSOR.astype(np.int32) - 7, "deep.tif", "I", r"-7 to 4993\. Train .*value_range: \[black, white\]"),
        (SENSOR.astype(np.float32) / 5000, "deep.tif", "F", r"0 to 1\. Train .*value_range: \[black, white\]"),
    ],
)
def test_a_deep_image_needs_a_value_range(tmp_path: Path, values, name: str, mode: str, expected: str) -> None:
    Image.fromarray(values).save(tmp_path / name)

    message = rf"{name}: the image cannot be read: its mode {mode} does not .* value_range is not set; .* {expected}"
    with pytest.raises(UnreadableImageError, match=message):
        read_image(str(tmp_path / name))
    assert np.array_equal(np.asarray(read_image(str(tmp_path / name), (0, 4095))), values)


def test_a_big_endian_tiff_is_deep(tmp_path: Path) -> None:
    Image.frombytes("I;16B", (2, 2), SENSOR.astype(">u2").tobytes()).save(tmp_path / "deep.tif")

    with pytest.raises(UnreadableImageError, match="its values are 0 to 5000"):
        read_image(str(tmp_path / "deep.tif"))
    assert np.asarray(read_image(str(tmp_path / "deep.tif"), (0, 4095))).tolist() == SENSOR.tolist()


def test_a_pgm_is_read_as_0_to_65535(tmp_path: Path) -> None:
    for maximum, values in ((4095, SENSOR.clip(0, 4095)), (65535, SENSOR)):
        (tmp_path / "deep.pgm").write_bytes(b"P5 2 2 %d " % maximum + values.astype(">u2").tobytes())
        read = np.asarray(read_image(str(tmp_path / "deep.pgm"), (0, 65535)))
        assert np.abs(read - values * (65535 / maximum)).max() < 1


@pytest.mark.parametrize("value_range", [None, (0, 1)])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_are_refused(tmp_path: Path, value: float, value_range) -> None:
    Image.fromarray(np.array([[0.5, value]], dtype=np.float32)).save(tmp_path / "deep.tif")

    with pytest.raises(UnreadableImageError, match=r"deep\.tif: .* it contains NaN or infinity"):
        read_image(str(tmp_path / "deep.tif"), value_range)
    with pytest.raises(DataError, match="it contains NaN or infinity"), Image.open(tmp_path / "deep.tif") as image:
        to_tensor(Preprocessing(size=(2, 2), value_range=value_range), image)


def _deep_color_png(path: Path) -> None:
    rows = b"".join(b"\0" + np.full((2, 3), 0x0FFF, ">u2").tobytes() for _ in range(2))
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", 2, 2, 16, 2, 0, 0, 0)), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    parts = [
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in chunks
    ]
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(parts))


def _deep_color_ppm(path: Path) -> None:
    path.write_bytes(b"P6 2 2 65535 " + np.full((2, 2, 3), 0x0FFF, ">u2").tobytes())


@pytest.mark.parametrize("write", [_deep_color_png, _deep_color_ppm])
def test_a_color_image_of_16_bits_is_read_only_with_their_whole_range(tmp_path: Path, write) -> None:
    write(tmp_path / "deep.png")

    for value_range, shown in ((None, "not set"), ((0, 4095), r"\[0, 4095\]")):
        with pytest.raises(UnreadableImageError, match=rf"color image with 16 bits .*\[0, 65535\], but it is {shown}"):
            read_image(str(tmp_path / "deep.png"), value_range)
    assert read_image(str(tmp_path / "deep.png"), (0, 65535)).getpixel((0, 0)) in ((15, 15, 15), (16, 16, 16))


def test_a_bmp_of_16_bits_per_pixel_has_8_per_channel(tmp_path: Path) -> None:
    header = struct.pack("<IiiHHIIiiIIIII", 40, 1, 1, 1, 16, 3, 4, 0, 0, 0, 0, 0xF800, 0x07E0, 0x001F)
    (tmp_path / "565.bmp").write_bytes(b"BM" + struct.pack("<IHHI", 70, 0, 0, 66) + header + b"\x00\xf8\x00\x00")

    assert read_image(str(tmp_path / "565.bmp")).getpixel((0, 0)) == (255, 0, 0)


@pytest.mark.parametrize("extension", ["gif", "tiff", "png", "webp"])
def test_several_frames_are_refused(tmp_path: Path, photo: Image.Image, extension: str) -> None:
    frames = [photo.rotate(angle) for angle in (90, 180)]
    photo.save(tmp_path / f"many.{extension}", save_all=True, append_images=frames)
    photo.save(tmp_path / f"one.{extension}")

    with pytest.raises(UnreadableImageError, match="it contains 3 frames; save each frame"):
        read_image(str(tmp_path / f"many.{extension}"))
    assert read_image(str(tmp_path / f"one.{extension}")).size == photo.size


def test_previews_are_no_frames(tmp_path: Path, photo: Image.Image) -> None:
    smaller = photo.resize((45, 30))
    photo.save(tmp_path / "phone.jpg", "MPO", save_all=True, append_images=[smaller])
    with TiffImagePlugin.AppendingTiffWriter(tmp_path / "overview.tif", new=True) as file:
        photo.save(file, "TIFF")
        file.newFrame()
        smaller.save(file, "TIFF", tiffinfo={0x00FE: 1})

    for name in ("phone.jpg", "overview.tif"):
        assert read_image(str(tmp_path / name)).size == photo.size


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr"])
@pytest.mark.parametrize("value_range", [None, (0, 4095)])
def test_images_of_8_bits_do_not_depend_on_the_value_range(tmp_path: Path, photo, mode: str, value_range) -> None:
    image = photo.convert(mode)
    image.save(tmp_path / "photo.tif")
    read = read_image(str(tmp_path / "photo.tif"), value_range)

    assert read.mode == mode
    assert np.array_equal(np.asarray(read), np.asarray(image))


def test_transparency_is_dropped(tmp_path: Path) -> None:
    image = Image.new("RGBA", (2, 2), (200, 100, 50, 0))
    image.save(tmp_path / "clear.png")
    prepared = to_tensor(Preprocessing(size=(2, 2)), read_image(str(tmp_path / "clear.png")))

    assert prepared[:, 0, 0].tolist() == [200, 100, 50]


def test_a_mode_without_conversion_is_refused(tmp_path: Path) -> None:
    Image.new("LAB", (2, 2)).save(tmp_path / "lab.tif")

    with pytest.raises(UnreadableImageError, match="its mode LAB cannot be converted to RGB; save it as an RGB image"):
        read_image(str(tmp_path / "lab.tif"))


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


def test_a_pipe_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "image.png")
    with pytest.raises(DataError, match=r"image\.png: the image cannot be read: it is a folder, a pipe or a device"):
        read_image(str(tmp_path / "image.png"))
