from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from cuelight.data.base.mask_files import MaskFiles, read_mask, refuse_masks_without_classes
from cuelight.data.reading import UnreadableImageError
from cuelight.errors import DataError

NAMES = ["dark", "medium", "bright"]
CLASSES = np.array([[0, 1, 2], [2, 255, 0]], dtype=np.uint8)


def _palette(values: np.ndarray) -> Image.Image:
    image = Image.fromarray(values)
    image.putpalette(np.random.default_rng(0).integers(0, 256, 768, dtype=np.uint8).tobytes())
    return image


@pytest.mark.parametrize(
    "write",
    [
        lambda file: Image.fromarray(CLASSES).save(file),
        lambda file: _palette(CLASSES).save(file),
        lambda file: Image.fromarray(CLASSES.astype(np.uint16)).save(file),
        lambda file: Image.fromarray(CLASSES.astype(np.int32)).save(file.with_suffix(".tif")),
        lambda file: Image.frombytes("I;16B", (3, 2), CLASSES.astype(">u2").tobytes()).save(file.with_suffix(".tif")),
    ],
    ids=["grey", "palette", "16 bits", "32 bits", "16 bits, big endian"],
)
def test_a_mask_holds_its_values_however_it_is_stored(write, tmp_path: Path) -> None:
    write(tmp_path / "mask.png")
    (file,) = tmp_path.iterdir()
    mask = read_mask(str(file), 3)

    assert mask.dtype == np.uint8
    assert np.array_equal(mask, CLASSES)


def test_black_and_white_is_0_and_1(tmp_path: Path) -> None:
    Image.fromarray(CLASSES == 2).save(tmp_path / "mask.png")

    assert np.array_equal(read_mask(str(tmp_path / "mask.png"), 2), CLASSES == 2)


def test_a_mask_is_upright_as_its_image_is(tmp_path: Path) -> None:
    turned = Image.fromarray(CLASSES)
    exif = turned.getexif()
    exif[0x0112] = 6
    turned.save(tmp_path / "mask.png", exif=exif)

    assert np.array_equal(read_mask(str(tmp_path / "mask.png"), 3), np.rot90(CLASSES, -1))


def test_values_below_0_are_no_classes(tmp_path: Path) -> None:
    Image.fromarray(np.array([[-1, 0], [1, -2]], dtype=np.int32)).save(tmp_path / "mask.tif")

    with pytest.raises(UnreadableImageError, match="it contains -2, -1; expected"):
        read_mask(str(tmp_path / "mask.tif"), 3)


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (
            Image.fromarray(CLASSES),
            r"it contains 2; expected the class index of each pixel, 0 to 1, or 255 to ignore it\.",
        ),
        (Image.fromarray(np.arange(90, dtype=np.uint8)[None]), r"it contains 2, 3, 4, 5, 6, \.\.\.; expected"),
        (Image.fromarray(np.full((2, 2), 300, dtype=np.uint16)), "it contains 300; expected"),
        (Image.new("RGB", (4, 4)), r"it is a color image \(RGB\); expected .*, in grayscale or with a palette\."),
    ],
)
def test_what_is_no_class_is_named(image: Image.Image, message: str, tmp_path: Path) -> None:
    file = tmp_path / "mask.png"
    image.save(file)

    with pytest.raises(UnreadableImageError, match=rf"^{file}: the mask cannot be read: {message}") as error:
        read_mask(str(file), 2)
    assert error.value.unreadable.content == "mask"


def test_a_mask_of_numbers_with_a_point_is_refused(tmp_path: Path) -> None:
    Image.fromarray(np.zeros((2, 2), np.float32)).save(tmp_path / "mask.tif")

    with pytest.raises(UnreadableImageError, match=r"its values are no integers \(mode F\); expected the class index"):
        read_mask(str(tmp_path / "mask.tif"), 2)


def test_a_broken_or_missing_mask_is_named(tmp_path: Path) -> None:
    (tmp_path / "mask.png").write_text("nothing")

    with pytest.raises(UnreadableImageError, match=r"mask\.png: the mask cannot be read: it is not an image"):
        read_mask(str(tmp_path / "mask.png"), 2)
    with pytest.raises(UnreadableImageError, match=r"other\.png: the mask cannot be read: the file no longer exists"):
        read_mask(str(tmp_path / "other.png"), 2)


def test_an_image_comes_with_its_mask(tmp_path: Path, write_masks) -> None:
    write_masks(tmp_path, tmp_path, count=2)
    files = MaskFiles([str(tmp_path / "000.jpg")], [str(tmp_path / "000.png")], NAMES)
    image, mask = files[0]

    assert image.size == (64, 48)
    assert mask.shape == (48, 64)
    assert mask.dtype == torch.uint8
    bright = np.asarray(image).mean(axis=2) > 160
    assert (bright == (mask == 2).numpy()).mean() > 0.97  # but for what JPEG changed


def test_a_mask_of_another_size_is_refused(tmp_path: Path, write_masks) -> None:
    write_masks(tmp_path, tmp_path, count=1)
    Image.fromarray(CLASSES).save(tmp_path / "000.png")

    with pytest.raises(UnreadableImageError, match=r"000.png: .* it has 3 x 2 pixels, but .*000.jpg has 64 x 48"):
        MaskFiles([str(tmp_path / "000.jpg")], [str(tmp_path / "000.png")], NAMES)[0]


def _turned(folder: Path, image: int | None, mask: int | None, size=(48, 48)) -> MaskFiles:
    """A photo and its mask with these EXIF orientations; an orientation of None is not written."""
    for name, picture, orientation in (
        ("1.jpg", Image.new("RGB", size), image), ("1.png", Image.new("L", (48, 48)), mask),
    ):  # fmt: skip
        exif = Image.Exif()
        if orientation is not None:
            exif[0x0112] = orientation
        picture.save(folder / name, exif=exif)
    return MaskFiles([str(folder / "1.jpg")], [str(folder / "1.png")], NAMES)


@pytest.mark.parametrize(("image", "mask"), [(6, None), (6, 1), (None, 3)])
def test_an_image_and_a_mask_of_which_one_is_turned_are_refused(tmp_path: Path, image, mask) -> None:
    message = (
        rf"1\.png: .* its EXIF orientation is {mask or 1}, but that of .*1\.jpg is {image or 1} .* Save both upright"
    )
    with pytest.raises(DataError, match=message):
        _turned(tmp_path, image, mask)[0]


@pytest.mark.parametrize(("image", "mask"), [(6, 6), (1, None), (None, 1), (3, 8)])
def test_an_image_and_a_mask_that_are_both_turned_or_both_upright_are_read(tmp_path: Path, image, mask) -> None:
    assert _turned(tmp_path, image, mask)[0][1].shape == (48, 48)


def test_a_mask_of_the_size_of_the_turned_image_was_drawn_on_it(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (64, 48)).save(tmp_path / "1.jpg", exif=exif)
    Image.new("L", (48, 64)).save(tmp_path / "1.png")
    image, mask = MaskFiles([str(tmp_path / "1.jpg")], [str(tmp_path / "1.png")], NAMES)[0]
    assert (image.size, tuple(mask.shape)) == ((48, 64), (64, 48))


def test_other_sizes_are_explained_by_exif(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"48 x 48 pixels, but .* has 48 x 64; its EXIF orientation is 1, but that of"):
        _turned(tmp_path, 6, None, size=(64, 48))[0]


def test_the_orientation_of_a_tiff_counts_too(tmp_path: Path) -> None:
    Image.new("RGB", (4, 4)).save(tmp_path / "1.tif", tiffinfo={0x0112: 6})
    Image.new("L", (4, 4)).save(tmp_path / "1.png")

    with pytest.raises(DataError, match=r"its EXIF orientation is 1, but that of .*1\.tif is 6"):
        MaskFiles([str(tmp_path / "1.tif")], [str(tmp_path / "1.png")], NAMES)[0]


def test_deep_images_need_a_value_range(tmp_path: Path) -> None:
    Image.fromarray(np.full((2, 3), 4000, np.uint16)).save(tmp_path / "deep.png")
    Image.fromarray(CLASSES).save(tmp_path / "mask.png")
    paths = [str(tmp_path / "deep.png")], [str(tmp_path / "mask.png")], NAMES

    with pytest.raises(DataError, match=r"deep\.png: the image .* value_range is not set"):
        MaskFiles(*paths)[0]
    assert MaskFiles(*paths, value_range=(0, 4095)).part([0])[0][0].getpixel((0, 0)) == 4000


def _files(folder: Path, *masks: list[int]) -> MaskFiles:
    for number, values in enumerate(masks):
        Image.fromarray(np.array([values], dtype=np.uint8)).save(folder / f"{number}.png")
    paths = [str(folder / f"{number}.png") for number in range(len(masks))]
    return MaskFiles(paths, paths, NAMES)


def test_masks_in_which_white_stands_for_a_class_are_refused(tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match=r"0\.png: this mask and the others contain only class 0, .* such as 1 for medium"
    ):
        refuse_masks_without_classes(_files(tmp_path, [0, 0], [0, 255]))


@pytest.mark.parametrize("masks", [([0, 0], [0, 0]), ([0, 255], [1, 0]), ([9, 9],)])
def test_other_masks_are_not_refused_for_that(masks, tmp_path: Path) -> None:
    refuse_masks_without_classes(_files(tmp_path, *masks))


def test_a_class_that_is_in_a_few_masks_only_is_enough(tmp_path: Path) -> None:
    masks = [[0, 255] for _ in range(80)]
    for number in range(1, 80, 3):
        masks[number] = [1, 255]
    files = _files(tmp_path, *masks)

    refuse_masks_without_classes(files)

    assert [values for values in masks[::3] if 1 in values] == []  # those that are looked at first
