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
    ],
    ids=["grey", "palette", "16 bits", "32 bits"],
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
